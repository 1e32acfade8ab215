// Command demo is what `make run` starts: an OCI registry, a throwaway signer and the real server,
// all on loopback, so that a newcomer sees signed policies being verified and served within a
// minute. Nothing it makes outlives it.
//
// It is also the end-to-end test's way of starting all of it.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }
