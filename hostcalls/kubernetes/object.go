package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"policy-server/hostcalls"
	"policy-server/jsontext"
)

// object is one object of the cluster as lists show it, and as much of its metadata as a reflector
// asks for.
type object struct {
	metav1.ObjectMeta
	text []byte // JSON
}

// GetObjectKind is for reflectors, which need no answer.
func (o *object) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject is for reflectors. What is copied is never written to.
func (o *object) DeepCopyObject() runtime.Object { return &object{*o.ObjectMeta.DeepCopy(), o.text} }

func (o *object) key() string { return o.Namespace + "/" + o.Name }

var errNotObject = errors.New("the API server sent something that is no object")

// lastApplied is the annotation in which kubectl keeps a second copy of an object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// readObject reads an object of a kind, with the members that keep asks for; apiVersion, kind and
// metadata are always there. In metadata, managedFields is empty and annotations lacks lastApplied.
func readObject(text []byte, of hostcalls.Resource, keep mask) (*object, error) {
	if !json.Valid(text) {
		return nil, errNotObject
	}
	return readValid(text, of, keep)
}

// readValid is readObject for text that is valid JSON.
func readValid(text []byte, of hostcalls.Resource, keep mask) (*object, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' {
		return nil, errNotObject
	}
	var o object
	to := appendName(append(make([]byte, 0, len(text)+128), '{'), "apiVersion")
	to = appendName(append(jsontext.AppendString(to, of.APIVersion), ','), "kind")
	to = append(jsontext.AppendString(to, of.Kind), `,"metadata":`...)
	type member struct {
		name  string
		value []byte
	}
	var others []member // walked once: managedFields make objects long
	metadata := []byte("{}")
	for name, value := range jsontext.Members(text) {
		switch name {
		case "metadata":
			metadata = value
		case "apiVersion", "kind":
		default:
			others = append(others, member{name, value})
		}
	}
	to = o.appendMetadata(to, metadata)
	for _, other := range others {
		if below, ok := keep[other.name]; ok || keep == nil {
			to = below.appendPruned(appendName(append(to, ','), other.name), other.value)
		}
	}
	o.text = bytes.Clone(append(to, '}')) // exactly as long as it is: it may be kept for days
	return &o, nil
}

// appendMetadata appends what lists show of metadata, and notes who the object is.
func (o *object) appendMetadata(to, metadata []byte) []byte {
	to = append(to, '{')
	var annotations []byte
	for name, value := range jsontext.Members(metadata) {
		switch name {
		case "managedFields":
			continue
		case "annotations":
			annotations = value
			continue
		case "name":
			o.Name = jsontext.Text(value)
		case "namespace":
			o.Namespace = jsontext.Text(value)
		case "resourceVersion":
			o.ResourceVersion = jsontext.Text(value)
		}
		to = append(appendName(separated(to, '{'), name), value...)
	}
	to = append(separated(to, '{'), `"annotations":{`...)
	for name, value := range jsontext.Members(annotations) {
		if name != lastApplied {
			to = append(appendName(separated(to, '{'), name), value...)
		}
	}
	return append(to, `},"managedFields":[]}`...)
}

// readPage reads one page of a list.
func readPage(text []byte, of hostcalls.Resource, keep mask) (page, error) {
	var p page
	if !json.Valid(text) {
		return p, errNotObject
	}
	for name, value := range jsontext.Members(text) {
		switch name {
		case "metadata":
			if err := json.Unmarshal(value, &p.meta); err != nil {
				return p, fmt.Errorf("metadata of a list: %w", err)
			}
		case "items":
			for item := range jsontext.Elements(value) {
				o, err := readValid(item, of, keep)
				if err != nil {
					return p, err
				}
				p.items = append(p.items, o)
			}
		}
	}
	return p, nil
}

type page struct {
	meta  metav1.ListMeta
	items []runtime.Object
}

func appendName(to []byte, name string) []byte { return append(jsontext.AppendString(to, name), ':') }
