package sdk

import (
	"errors"

	"policy-server/sdk/internal/wapc"
)

// HostCall asks the host for the capability namespace/operation, such as "kubernetes" and "can_i",
// and waits. Payload and answer are JSON, in the form that the capability's documentation states;
// the answer is missing where it states none. The policy's definition must grant the capability
// (hostCapabilities), and for Kubernetes' objects their kind too (contextAwareResources). The error
// is a *HostError.
func HostCall(namespace, operation string, payload Value) (Value, error) {
	answer, err := wapc.HostCall(namespace, operation, payload.text)
	if err != nil {
		return Value{}, &HostError{namespace, operation, err.Error()}
	}
	return trimmed(answer), nil
}

// A HostError is the host's refusal of, or failure in, a host call.
type HostError struct {
	Namespace string
	Operation string
	Text      string // the host's words
}

func (e *HostError) Error() string {
	return "host call " + e.Namespace + "/" + e.Operation + ": " + e.Text
}

// answerOf makes a host call whose answer is of one kind, and reports one that is not.
func answerOf(namespace, operation string, payload Value, kind Kind) (Value, error) {
	answer, err := HostCall(namespace, operation, payload)
	if err == nil && answer.Kind() != kind {
		err = notAsTold(namespace, operation)
	}
	if err != nil {
		return Value{}, err
	}
	return answer, nil
}

// memberOf makes a host call whose answer is an object, and returns that member of it.
func memberOf(namespace, operation string, payload Value, name string, kind Kind) (Value, error) {
	answer, err := answerOf(namespace, operation, payload, Object)
	if err != nil {
		return Value{}, err
	}
	value := answer.Get(name)
	if value.Kind() != kind {
		return Value{}, notAsTold(namespace, operation)
	}
	return value, nil
}

func notAsTold(namespace, operation string) error {
	return errors.New("host call " + namespace + "/" + operation + ": the answer is not what it should be")
}

// LookupHost resolves a host name with the host's resolver and returns its IPv4 and IPv6 addresses,
// at least one, in no particular order. A literal address returns itself.
//
//	net/v1/dns_lookup_host   request: "registry.example"   answer: {"ips":["192.0.2.7"]}
func LookupHost(host string) (ips []string, err error) {
	answer, err := memberOf("net", "v1/dns_lookup_host", Quote(host), "ips", Array)
	if err != nil {
		return nil, err
	}
	for ip := range answer.Each() {
		if text, ok := ip.Text(); ok {
			ips = append(ips, text)
		}
	}
	if len(ips) == 0 {
		return nil, notAsTold("net", "v1/dns_lookup_host")
	}
	return ips, nil
}
