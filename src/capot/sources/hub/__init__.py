"""Models of the Hugging Face hub, over the standard library alone: found, described, downloaded, kept.

settings       what the surroundings say: address, cache, token, offline
connection     one request: proxies, certificates, redirects; the token goes to the hub alone
refusals       what the hub or the network said, as an error that helps
requests       a question, asked again where the network stumbles
listing        what the hub says of a model: files, sizes, hashes, gate
remote_headers the headers of weights that are still on the hub
store          the cache, in the layout of Hugging Face's own tools
cache_index    what the cache holds, model by model
fetch          files from the hub to the cache: announced, resumed, verified
events         what a download tells while it goes
searching      models by words
checkpoint     a model as a chapter sees it: start here
"""
