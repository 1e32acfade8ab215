// Package real holds tests against the real Sigstore services and cosign's own binaries, all on
// loopback: what they sign verifies here with every service stopped, and what policyctl signs
// verifies there. It is a module of its own, since what the services need must not reach ours, and
// it is not part of `make test`: building the services takes a quarter of an hour on two cores.
// `make test-real` builds and runs all of it.
package real
