//! What the operating system is asked for. The only unsafe code of this layer.
