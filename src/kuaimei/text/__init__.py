"""Text processing: clause segmentation, Chinese scripts, and zh-TW normalization for speech."""
