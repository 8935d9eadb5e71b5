"""Images, labels and groups: manifests, decoding, and the built-in synthetic set."""
