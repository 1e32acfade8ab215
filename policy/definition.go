package policy

import (
	"cmp"
	"slices"
	"time"

	"policy-server/hostcalls"
	"policy-server/runtime"
)

// Mode says what a policy's refusal does.
type Mode string

// The modes a policy can have.
const (
	Protect Mode = "protect" // it refuses the request
	Monitor Mode = "monitor" // it is logged, and the request is accepted
)

// Definition is a policy as its operator wrote it. The zero value of each field but ID and Module
// is its default.
type Definition struct {
	ID              ID
	Module          string // reference or URL, as written
	Mode            Mode   // Protect when empty
	AllowedToMutate bool
	Settings        []byte         // a JSON object; {} when empty
	Message         *string        // replaces the policy's own message when it refuses
	Timeout         *time.Duration // replaces the server's limit for one evaluation
	Resources       []Resource     // the Kubernetes kinds it may read
	Sandbox         runtime.Mode   // replaces the server's way to a clean instance
	MemoryLimit     int64          // bytes of an instance's memory, at most the server's limit; 0: that limit
	Grants          hostcalls.Grants
}

// withDefaults fills in what stands for nothing, so that definitions that mean the same are equal.
func (d Definition) withDefaults() Definition {
	d.Mode = cmp.Or(d.Mode, Protect)
	if len(d.Settings) == 0 {
		d.Settings = []byte("{}")
	}
	var resources []Resource
	for _, r := range d.Resources {
		if !slices.Contains(resources, r) {
			resources = append(resources, r)
		}
	}
	d.Resources = resources
	return d
}

// Resource is a kind of Kubernetes object.
type Resource = hostcalls.Resource
