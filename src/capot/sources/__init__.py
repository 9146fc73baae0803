"""Where weights come from, and what is known of them: folders, the hub, published shapes, this machine."""
