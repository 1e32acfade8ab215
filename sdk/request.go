package sdk

import (
	"errors"
	"strings"
)

// A Request is what a policy decides on. For Kubernetes it is the request of an AdmissionReview
// (admission.k8s.io/v1), from which the host has dropped null and unknown members. A raw policy
// finds whatever JSON the client sent in Raw; the other members mean nothing to it.
//
// One pass over the payload, before Validate is called, finds all members, so that no method costs
// more for a larger object. What a member holds is read when it is asked for. Texts are empty, and
// Values missing, where the request has no such member.
type Request struct {
	raw, settings Value

	uid, operation, name, namespace, dryRun Value
	kind, requestKind                       Value
	resource, requestResource               Value
	subResource, requestSubResource         Value
	userInfo                                Value
	object, oldObject, options              Value
}

// An Operation is what is about to happen to an object.
type Operation string

// The operations Kubernetes knows.
const (
	OperationCreate  Operation = "CREATE"
	OperationUpdate  Operation = "UPDATE"
	OperationDelete  Operation = "DELETE"
	OperationConnect Operation = "CONNECT"
)

// A GroupVersionKind names a type of object. The core group is "".
type GroupVersionKind struct{ Group, Version, Kind string }

// A GroupVersionResource names a resource, as in the paths of the API. The core group is "".
type GroupVersionResource struct{ Group, Version, Resource string }

// Raw returns the whole request.
func (r Request) Raw() Value { return r.raw }

// Settings returns the policy's settings, an object. See FromSettings for reading them once.
func (r Request) Settings() Value { return r.settings }

// UID returns the request's unique id.
func (r Request) UID() string { return text(r.uid) }

// Operation returns what is about to happen.
func (r Request) Operation() Operation { return Operation(text(r.operation)) }

// Name returns the object's name; empty when the API server is to generate it.
func (r Request) Name() string { return text(r.name) }

// Namespace returns the object's namespace; empty for objects of the cluster. For a Namespace it is
// its name.
func (r Request) Namespace() string { return text(r.namespace) }

// DryRun reports whether nothing will be stored.
func (r Request) DryRun() bool { return r.dryRun.IsTrue() }

// Kind returns the type of Object, which is the one the policy's rules name.
func (r Request) Kind() GroupVersionKind { return kindOf(r.kind) }

// RequestKind returns the type the client sent. It differs from Kind when the API server converted
// the object to one the policy's rules name.
func (r Request) RequestKind() GroupVersionKind { return kindOf(r.requestKind) }

// Resource returns the resource of Object, which is the one the policy's rules name.
func (r Request) Resource() GroupVersionResource { return resourceOf(r.resource) }

// RequestResource returns the resource the client addressed.
func (r Request) RequestResource() GroupVersionResource { return resourceOf(r.requestResource) }

// SubResource returns the subresource, such as "scale" or "exec".
func (r Request) SubResource() string { return text(r.subResource) }

// RequestSubResource returns the subresource the client addressed.
func (r Request) RequestSubResource() string { return text(r.requestSubResource) }

// UserName returns the name of the user who asks.
func (r Request) UserName() string { return text(r.userInfo.Get("username")) }

// InGroup reports whether the user who asks is in a group, such as "system:masters".
func (r Request) InGroup(group string) bool {
	for member := range r.userInfo.Get("groups").Each() {
		if member.Is(group) {
			return true
		}
	}
	return false
}

// UserInfo returns who asks: an object with username, uid, groups and extra.
func (r Request) UserInfo() Value { return r.userInfo }

// Object returns the object as it will be. It is missing on DELETE.
func (r Request) Object() Value { return r.object }

// OldObject returns the object as it is. It is missing on CREATE and CONNECT.
func (r Request) OldObject() Value { return r.oldObject }

// Options returns the options of the operation, such as a CreateOptions.
func (r Request) Options() Value { return r.options }

func text(v Value) string {
	text, _ := v.Text()
	return text
}

func kindOf(v Value) GroupVersionKind {
	return GroupVersionKind{text(v.Get("group")), text(v.Get("version")), text(v.Get("kind"))}
}

func resourceOf(v Value) GroupVersionResource {
	return GroupVersionResource{text(v.Get("group")), text(v.Get("version")), text(v.Get("resource"))}
}

// parseRequest reads the payload of validate, {"request": …, "settings": {…}}, in one pass.
func parseRequest(payload string) (Request, error) {
	var r Request
	c := enter(payload, skipSpace(payload, 0))
	if c.at == len(payload) || payload[c.at] != '{' {
		return Request{}, errors.New("payload is not a JSON object")
	}
	for {
		name, ok := c.member()
		if !ok {
			break
		}
		switch start := c.at; unquote(name) {
		case "request":
			c.at = r.readMembers(payload, start)
			if c.at != malformed {
				r.raw = Value{payload[start:c.at]}
			}
		case "settings":
			r.settings = Value{c.value()}
		default:
			c.value()
		}
	}
	if c.at == malformed || !r.raw.Exists() || r.settings.Kind() != Object {
		return Request{}, errors.New(`payload is not JSON of the form {"request": any, "settings": object}`)
	}
	return r, nil
}

// readMembers finds the members of the request at payload[at:] and returns the index past it.
func (r *Request) readMembers(payload string, at int) (end int) {
	if at >= len(payload) || payload[at] != '{' {
		return skipValue(payload, at)
	}
	c := enter(payload, at)
	for {
		name, ok := c.member()
		if !ok {
			return c.at
		}
		value := Value{c.value()}
		if member := r.member(unquote(name)); member != nil {
			*member = value
		}
	}
}

// member returns where the member of this name belongs, nil for names unknown to Kubernetes.
func (r *Request) member(name string) *Value {
	switch name {
	case "uid":
		return &r.uid
	case "kind":
		return &r.kind
	case "resource":
		return &r.resource
	case "subResource":
		return &r.subResource
	case "requestKind":
		return &r.requestKind
	case "requestResource":
		return &r.requestResource
	case "requestSubResource":
		return &r.requestSubResource
	case "name":
		return &r.name
	case "namespace":
		return &r.namespace
	case "operation":
		return &r.operation
	case "userInfo":
		return &r.userInfo
	case "object":
		return &r.object
	case "oldObject":
		return &r.oldObject
	case "dryRun":
		return &r.dryRun
	case "options":
		return &r.options
	}
	return nil
}

// trimmed returns the value of a text the host has checked, without the white space around it.
func trimmed(text string) Value { return Value{strings.Trim(text, " \n\t\r")} }
