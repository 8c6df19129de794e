//! The bridge: what an httpd child and a daemon process say to each other (docs/bridge.md).
