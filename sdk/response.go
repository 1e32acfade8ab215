package sdk

import (
	"errors"
	"strconv"
)

// A Response is a policy's verdict. Make one with Accept, Reject, Mutate or Fail. The zero Response
// rejects without saying why. Responses are values: each With method returns a changed copy.
type Response struct {
	accepted    bool
	message     string
	code        uint16
	mutated     bool
	object      Value
	annotations []annotation
	warnings    []string
	failure     error
}

type annotation struct{ key, value string }

// Accept lets the request pass unchanged.
func Accept() Response { return Response{accepted: true} }

// Reject refuses the request. The user sees message, which should say what to change.
func Reject(message string) Response { return Response{message: message} }

// Mutate lets the request pass with object, whole, in place of the one it brought; see Set for
// making it. The host sends the API server the difference, refuses a mutation the policy's
// definition does not allow, and a mutation on DELETE. A missing object is a failure.
func Mutate(object Value) Response { return Response{accepted: true, mutated: true, object: object} }

// Fail says that the policy could not decide, because of err: a host call failed, the object is not
// what its kind promises. The host refuses the request with code 500 and logs the error.
func Fail(err error) Response { return Response{failure: err} }

// WithCode sets the HTTP status of the answer, for rejections 400 to 599. Without it the API server
// uses its own, 400 today.
func (r Response) WithCode(code uint16) Response {
	r.code = code
	return r
}

// WithMessage sets the message, which an accepted request may have as well.
func (r Response) WithMessage(message string) Response {
	r.message = message
	return r
}

// WithWarnings adds warnings; kubectl prints them. The API server cuts them at 256 bytes each, 4096
// in all.
func (r Response) WithWarnings(warnings ...string) Response {
	r.warnings = append(r.warnings[:len(r.warnings):len(r.warnings)], warnings...)
	return r
}

// WithAuditAnnotation adds an annotation to the API server's audit log, which prefixes the key with
// the webhook's name. A key must not hold a slash.
func (r Response) WithAuditAnnotation(key, value string) Response {
	r.annotations = append(r.annotations[:len(r.annotations):len(r.annotations)], annotation{key, value})
	return r
}

// encode returns the response as the protocol spells it, or why there is none.
func (r Response) encode() ([]byte, error) {
	if r.failure != nil {
		return nil, r.failure
	}
	if r.mutated && !r.object.Exists() {
		return nil, errors.New("policy mutates to a missing object")
	}
	answer := strconv.AppendBool(append(make([]byte, 0, r.size()), `{"accepted":`...), r.accepted)
	if r.message != "" {
		answer = appendQuoted(append(answer, `,"message":`...), r.message)
	}
	if r.code != 0 {
		answer = strconv.AppendUint(append(answer, `,"code":`...), uint64(r.code), 10)
	}
	if r.mutated {
		answer = append(append(answer, `,"mutated_object":`...), r.object.text...)
	}
	answer = r.appendAnnotations(answer)
	answer = r.appendWarnings(answer)
	return append(answer, '}'), nil
}

// size estimates the encoded response's size, so that one allocation does for most.
func (r Response) size() int {
	const keys = len(`{"accepted":false,"message":"","code":65535,"mutated_object":}`)
	return keys + len(r.message) + len(r.object.text)
}

func (r Response) appendAnnotations(answer []byte) []byte {
	if len(r.annotations) == 0 {
		return answer
	}
	answer = append(answer, `,"audit_annotations":`...)
	separator := byte('{')
	for i, a := range r.annotations {
		if replaced(r.annotations[i+1:], a.key) {
			continue
		}
		answer = appendQuoted(append(answer, separator), a.key)
		answer = appendQuoted(append(answer, ':'), a.value)
		separator = ','
	}
	return append(answer, '}')
}

// replaced reports whether a later annotation has the same key: a decoder may refuse a name that
// comes twice.
func replaced(later []annotation, key string) bool {
	for _, a := range later {
		if a.key == key {
			return true
		}
	}
	return false
}

func (r Response) appendWarnings(answer []byte) []byte {
	if len(r.warnings) == 0 {
		return answer
	}
	answer = append(answer, `,"warnings":`...)
	separator := byte('[')
	for _, warning := range r.warnings {
		answer = appendQuoted(append(answer, separator), warning)
		separator = ','
	}
	return append(answer, ']')
}
