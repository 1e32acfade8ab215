// Command docker-credential-helper speaks the protocol of Docker's credential helpers for the
// tests: it knows one server, which the variable HELPER_SERVER names, and answers for it what
// HELPER_ANSWER says.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	server, err := io.ReadAll(os.Stdin)
	switch {
	case err != nil || len(os.Args) != 2 || os.Args[1] != "get":
		fmt.Println("wrong call hunter2")
	case string(server) != os.Getenv("HELPER_SERVER"):
		fmt.Println("credentials not found in native keychain")
	default:
		fmt.Println(os.Getenv("HELPER_ANSWER"))
		if os.Getenv("HELPER_FAILS") == "" {
			return
		}
	}
	os.Exit(1)
}
