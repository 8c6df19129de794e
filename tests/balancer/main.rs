//! One application on several hosts behind mod_proxy_balancer and nginx, configured as
//! docs/servers/balancer.md says: hosts are killed, and unplugged, and come back, while a load runs
//! each request of which is judged.

mod balancers;
mod cut;
#[path = "../gateways/documented.rs"]
mod documented;
#[path = "../restart/load.rs"]
mod load;
mod losses;
mod manager;
mod member;
mod network;
mod once;
mod packaging;
mod sticky;
mod targets;
