"""Every format AWS has written, and what people made of them: bytes to whole documents."""
