package admission

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"

	"policy-server/jsontext"
)

// Response is a verdict on its way to the client. The zero value refuses without saying why.
type Response struct {
	UID              string
	Allowed          bool
	Patch            []byte            // an RFC 6902 document; nil when nothing is changed, or nobody asks what
	Mutates          bool              // whether the policy changes the object
	Status           *Status           // nil when there is nothing to say
	AuditAnnotations map[string]string // nil is written as null
	Warnings         []string          // nil is written as null
}

// Status explains a verdict. Absent members are nil.
type Status struct {
	Status  *string
	Message *string
	Reason  *string
	Details *Details
	Code    *int32 // an HTTP status
}

// Details carries the causes of a refusal.
type Details struct {
	Causes []Cause // left out when empty
}

// Cause is one reason among several. nil members are written as null.
type Cause struct {
	Reason  *string
	Message *string
	Field   *string
}

// Reject returns the response that refuses request uid with a message and an HTTP status code.
func Reject(uid, message string, code int32) Response {
	return Response{UID: uid, Status: &Status{Message: &message, Code: &code}}
}

// AppendReview appends response as an AdmissionReview of admission.k8s.io/v1. Members come in the
// order that clients of upstream's server have seen; there is no white space.
func AppendReview(dst []byte, response *Response) []byte {
	dst = append(dst, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":`...)
	return append(AppendResponse(dst, response), '}')
}

// AppendRawReview appends response as the answer to a raw review: {"response":{…}}.
func AppendRawReview(dst []byte, response *Response) []byte {
	return append(AppendResponse(append(dst, `{"response":`...), response), '}')
}

// AppendResponse appends response alone.
func AppendResponse(dst []byte, response *Response) []byte {
	o := members{dst: append(dst, '{')}
	o.addString("uid", response.UID)
	o.dst = strconv.AppendBool(o.name("allowed"), response.Allowed)
	if response.Patch != nil {
		o.addString("patchType", "JSONPatch")
		o.dst = append(o.name("patch"), '"')
		o.dst = base64.StdEncoding.AppendEncode(o.dst, response.Patch)
		o.dst = append(o.dst, '"')
	}
	if response.Status != nil {
		o.dst = appendStatus(o.name("status"), response.Status)
	}
	o.dst = appendAnnotations(o.name("auditAnnotations"), response.AuditAnnotations)
	o.dst = appendWarnings(o.name("warnings"), response.Warnings)
	return append(o.dst, '}')
}

func appendStatus(dst []byte, status *Status) []byte {
	o := members{dst: append(dst, '{')}
	for _, m := range [...]struct {
		name  string
		value *string
	}{{"status", status.Status}, {"message", status.Message}, {"reason", status.Reason}} {
		if m.value != nil {
			o.addString(m.name, *m.value)
		}
	}
	if status.Details != nil {
		o.dst = appendDetails(o.name("details"), status.Details)
	}
	if status.Code != nil {
		o.dst = strconv.AppendInt(o.name("code"), int64(*status.Code), 10)
	}
	return append(o.dst, '}')
}

func appendDetails(dst []byte, details *Details) []byte {
	dst = append(dst, '{')
	if len(details.Causes) > 0 {
		dst = append(dst, `"causes":[`...)
		for i, cause := range details.Causes {
			if i > 0 {
				dst = append(dst, ',')
			}
			o := members{dst: append(dst, '{')}
			o.dst = appendNullable(o.name("reason"), cause.Reason)
			o.dst = appendNullable(o.name("message"), cause.Message)
			o.dst = appendNullable(o.name("field"), cause.Field)
			dst = append(o.dst, '}')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendNullable(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	return jsontext.AppendString(dst, *s)
}

func appendAnnotations(dst []byte, annotations map[string]string) []byte {
	if annotations == nil {
		return append(dst, "null"...)
	}
	o := members{dst: append(dst, '{')}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		if o.comma {
			o.dst = append(o.dst, ',')
		}
		o.comma = true
		o.dst = append(jsontext.AppendString(o.dst, name), ':') // a guest's name may need escaping, ours never do
		o.dst = jsontext.AppendString(o.dst, annotations[name])
	}
	return append(o.dst, '}')
}

func appendWarnings(dst []byte, warnings []string) []byte {
	if warnings == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for i, warning := range warnings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, warning)
	}
	return append(dst, ']')
}
