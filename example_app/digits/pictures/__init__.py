"""Pictures, each a stage that returns the bytes of a PNG: who saves them is not their concern."""
