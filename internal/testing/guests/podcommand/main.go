//go:build wasip1

// Command podcommand is a policy as an author would write it in Go without any SDK: a WASI command
// that refuses Pods with privileged containers. Settings that name a capability,
// {"ask":"NAMESPACE/OPERATION"}, make it ask its host first, and put the answer into its message. A
// request that is no JSON makes it exit with code 1.
package main

import (
	"encoding/json"
	"io"
	"log"
	"os"
	"strings"
	"unsafe"
)

type settings struct {
	Ask string `json:"ask"`
}

type container struct {
	SecurityContext struct {
		Privileged bool `json:"privileged"`
	} `json:"securityContext"`
}

type input struct {
	Request struct {
		UID    string `json:"uid"`
		Object struct {
			Spec struct {
				Containers []container `json:"containers"`
			} `json:"spec"`
		} `json:"object"`
	} `json:"request"`
	Settings settings `json:"settings"`
}

type verdict struct {
	Accepted bool   `json:"accepted"`
	Message  string `json:"message,omitempty"`
}

// evaluations would count them if anything of one reached the next.
var evaluations int

func main() {
	log.SetFlags(0)
	document, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	var answer any
	switch operation := os.Args[1]; operation {
	case "validate":
		answer = validate(document)
	case "validate-settings":
		answer = map[string]bool{"valid": json.Valid(document)}
	default:
		log.Fatalf("operation %q is unknown", operation)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatal(err)
	}
}

func validate(document []byte) verdict {
	var in input
	if err := json.Unmarshal(document, &in); err != nil {
		log.Fatal("the request is not JSON")
	}
	if evaluations++; evaluations > 1 {
		log.Fatal("this is not the first evaluation")
	}
	for _, c := range in.Request.Object.Spec.Containers {
		if c.SecurityContext.Privileged {
			return verdict{Message: "privileged container in " + in.Request.UID}
		}
	}
	if in.Settings.Ask == "" {
		return verdict{Accepted: true}
	}
	return verdict{Accepted: true, Message: ask(in.Settings.Ask, in.Request.UID)}
}

// ask sends payload to a host capability and returns what comes back on stdin.
func ask(capability, payload string) string {
	namespace, operation, _ := strings.Cut(capability, "/")
	failed := call("kubewarden", namespace, operation, payload)
	answer, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	if failed != 0 {
		log.Fatalf("%s", answer)
	}
	return string(answer)
}

func call(binding, namespace, operation, payload string) uint32 {
	at := func(s string) (unsafe.Pointer, uint32) { return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s)) }
	b, bLen := at(binding)
	n, nLen := at(namespace)
	o, oLen := at(operation)
	p, pLen := at(payload)
	return hostCall(b, bLen, n, nLen, o, oLen, p, pLen)
}

//go:wasmimport host call
func hostCall(b unsafe.Pointer, bLen uint32, n unsafe.Pointer, nLen uint32, o unsafe.Pointer, oLen uint32, p unsafe.Pointer, pLen uint32) uint32
