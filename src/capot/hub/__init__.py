"""Models of the Hugging Face hub, over the standard library alone: found, described, downloaded, kept.

settings     what the surroundings say: address, cache, token, offline
connection   one request: proxies, certificates, redirects; the token goes to the hub alone
refusals     what the hub or the network said, as an error that helps
asking       a question, asked again where the network stumbles
listing      what the hub says of a model: files, sizes, hashes, gate
far          the headers of weights that are still on the hub
store        the cache, in the layout of Hugging Face's own tools
fetch        files from the hub to the cache: announced, resumed, verified
events       what a download tells while it goes
searching    models by words
checkpoint   a model as a chapter sees it: start here
"""
