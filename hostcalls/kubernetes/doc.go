// Package kubernetes answers the host capabilities of namespace kubernetes: what a cluster holds
// and who may do what in it. It owns the connection to the API server, the watches behind lists,
// and field masks. It alone imports client-go.
//
// Which kinds a policy may read is decided before, by package hostcalls; beyond that, policies see
// what the server's own account may see.
package kubernetes
