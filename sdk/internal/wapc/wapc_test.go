package wapc_test

import (
	"errors"
	"testing"

	"policy-server/sdk/internal/wapc"
)

func TestCall(t *testing.T) {
	host := func(namespace, operation, payload string) (string, error) {
		return namespace + "/" + operation + "(" + payload + ")", nil
	}
	if _, err := wapc.Call(host, "validate", ""); err == nil {
		t.Error("a guest without handler answers")
	}
	wapc.Handle(func(operation, payload string) ([]byte, error) {
		if operation != "validate" {
			return nil, errors.New("unknown " + operation)
		}
		answer, err := wapc.HostCall("ns", "op", payload)
		return []byte(answer), err
	})
	if answer, err := wapc.Call(host, "validate", "x"); string(answer) != "ns/op(x)" || err != nil {
		t.Errorf("answer %q, error %v", answer, err)
	}
	if _, err := wapc.Call(host, "mutate", "x"); err == nil || err.Error() != "unknown mutate" {
		t.Errorf("error is %v", err)
	}
	if answer, err := wapc.HostCall("ns", "op", "x"); err == nil {
		t.Errorf("outside a call the host answers %q", answer)
	}
}
