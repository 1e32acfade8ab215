// Command policy-server serves policies: it reads flags and files, wires the packages that do the
// work, and turns errors into exit codes (1: it could not start or failed, 2: it was called
// wrongly).
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }
