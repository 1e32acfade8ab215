// Command policyctl is the companion of the policy server: it annotates, pushes, pulls, verifies
// and inspects policies, and runs them as the server would. It parses flags, wires the packages
// that do the work, and prints what they say; results go to stdout, everything else to stderr.
// Called by the name kwctl it is a drop-in for that tool.
package main

import "os"

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
