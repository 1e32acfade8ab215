// Package sdk is for writing admission policies in standard Go. A policy is a program with one call
// of Register, built as a WebAssembly reactor; the host hands it requests and settings as JSON and
// takes back a verdict. The package owns the guest's side of that conversation (Kubewarden's waPC
// protocol, version v1), a reader and an editor for JSON that cost little in a sandbox, and the way
// to the host's capabilities.
//
// It does not know Kubernetes' types or any policy's rules, and imports neither encoding/json nor
// fmt, which would make a guest two thirds larger: package sdk/decode offers encoding/json to
// policies that prefer Go types, package sdk/sdktest runs a policy in ordinary Go tests.
package sdk

import (
	"errors"
	"strconv"

	"policy-server/sdk/internal/wapc"
)

// A Policy is what an author writes: two functions. Neither is called by two goroutines at once in
// a guest. A panic in one becomes an error of the guest, with the panic's text; the host then
// refuses the request.
type Policy struct {
	// Validate decides on one request. It is required.
	Validate func(Request) Response

	// CheckSettings says what is wrong with a policy's settings, always a JSON object, before the
	// policy is served; nil when nothing is. Its error's text is shown to the operator. A nil
	// function accepts all.
	CheckSettings func(settings Value) error
}

// Register makes p the policy of this guest, in place of one registered earlier. Call it from an
// init function: a reactor's main never runs.
func Register(p Policy) { wapc.Handle(p.answer) }

// answer serves one call of the host.
func (p Policy) answer(operation, payload string) (answer []byte, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			answer, err = nil, errors.New("panic: "+panicText(reason))
		}
	}()
	switch operation {
	case "validate":
		return p.validate(payload)
	case "validate_settings":
		return p.checkSettings(trimmed(payload)), nil
	case "protocol_version":
		return []byte(`"v1"`), nil
	}
	return nil, errors.New("unknown operation " + strconv.Quote(operation) +
		"; known: validate, validate_settings, protocol_version")
}

func (p Policy) validate(payload string) ([]byte, error) {
	if p.Validate == nil {
		return nil, errors.New("policy has no Validate function")
	}
	request, err := parseRequest(payload)
	if err != nil {
		return nil, err
	}
	return p.Validate(request).encode()
}

func (p Policy) checkSettings(settings Value) []byte {
	if p.CheckSettings == nil {
		return []byte(`{"valid":true}`)
	}
	if err := p.CheckSettings(settings); err != nil {
		return append(appendQuoted([]byte(`{"valid":false,"message":`), err.Error()), '}')
	}
	return []byte(`{"valid":true}`)
}

// panicText says what a panic was about, for the values that code panics with in practice; printing
// all others would take package fmt.
func panicText(reason any) string {
	switch reason := reason.(type) {
	case error:
		return reason.Error()
	case string:
		return reason
	case interface{ String() string }:
		return reason.String()
	case int:
		return strconv.Itoa(reason)
	}
	return "a value that is neither an error nor a text"
}
