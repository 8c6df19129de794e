//! Clients that nobody here wrote: a browser, Python's websockets, and Autobahn's test suite. Where
//! one is not installed, its tests say so and end.

mod autobahn;
mod browser;
mod chromium;
mod sites;
mod websockets;
