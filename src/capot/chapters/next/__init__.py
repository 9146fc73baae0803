"""What could come next?"""
