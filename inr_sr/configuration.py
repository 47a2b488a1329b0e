"""Where the configuration was before; it is in `inr_sr.config`."""

raise ImportError("inr_sr.configuration is now inr_sr.config")
