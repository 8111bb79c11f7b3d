"""The import paths of the first hydra-cached; everything here is defined elsewhere."""
