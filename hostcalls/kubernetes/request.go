package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"

	"policy-server/hostcalls"
)

// option is a text that a request may leave out or have as null.
type option struct{ given *string }

// UnmarshalJSON takes a string or null.
func (o *option) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &o.given) }

func (o option) text() string {
	if o.given == nil {
		return ""
	}
	return *o.given
}

// asOption prints the text as upstream's messages do, which are in the words of Rust.
func (o option) asOption() string {
	if o.given == nil {
		return "None"
	}
	return fmt.Sprintf("Some(%q)", *o.given)
}

// required reports the first of the required members that is not there.
func required(names []string, values ...*string) error {
	for i, value := range values {
		if value == nil {
			return fmt.Errorf("missing field `%s`", names[i])
		}
	}
	return nil
}

// listRequest is the payload of both list operations.
type listRequest struct {
	selection  Selection
	labels     option
	fields     option
	fieldMasks []string // nil: none were given
}

// decodeList reads the payload of list_resources_all; withNamespace that of
// list_resources_by_namespace.
func decodeList(payload []byte, withNamespace requirement) (listRequest, error) {
	var given struct {
		APIVersion    *string  `json:"api_version"`
		Kind          *string  `json:"kind"`
		Namespace     *string  `json:"namespace"`
		LabelSelector option   `json:"label_selector"`
		FieldSelector option   `json:"field_selector"`
		FieldMasks    []string `json:"field_masks"`
	}
	if err := json.Unmarshal(payload, &given); err != nil {
		return listRequest{}, fmt.Errorf("decode list request: %w", err)
	}
	if err := required([]string{"api_version", "kind"}, given.APIVersion, given.Kind); err != nil {
		return listRequest{}, fmt.Errorf("decode list request: %w", err)
	}
	r := listRequest{labels: given.LabelSelector, fields: given.FieldSelector, fieldMasks: given.FieldMasks}
	r.selection = Selection{
		Kind:          hostcalls.Resource{APIVersion: *given.APIVersion, Kind: *given.Kind},
		LabelSelector: given.LabelSelector.text(),
		FieldSelector: given.FieldSelector.text(),
		FieldMasks:    given.FieldMasks,
	}
	if withNamespace == optional {
		return r, nil
	}
	switch {
	case given.Namespace == nil:
		return listRequest{}, errors.New("decode list request: missing field `namespace`")
	case *given.Namespace == "":
		return listRequest{}, errors.New("decode list request: `namespace` is empty: list all namespaces with list_resources_all")
	}
	r.selection.Namespace = *given.Namespace
	return r, nil
}

// requirement says whether a member must be there.
type requirement int

const (
	optional requirement = iota
	mandatory
)

func (r listRequest) question() hostcalls.Question {
	q := hostcalls.Question{Variant: "KubernetesListResourceAll", Fields: kindFields(r.selection.Kind)}
	if r.selection.Namespace != "" {
		q.Variant = "KubernetesListResourceNamespace"
		q.Fields = append(q.Fields, hostcalls.Field{Name: "namespace", Value: r.selection.Namespace})
	}
	q.Fields = append(q.Fields,
		hostcalls.Field{Name: "label_selector", Value: r.labels.given},
		hostcalls.Field{Name: "field_selector", Value: r.fields.given},
		hostcalls.Field{Name: "field_masks", Value: hostcalls.Set(r.fieldMasks)})
	return q
}

func kindFields(kind hostcalls.Resource) hostcalls.Fields {
	return hostcalls.Fields{{Name: "api_version", Value: kind.APIVersion}, {Name: "kind", Value: kind.Kind}}
}

// getRequest is the payload of get_resource.
type getRequest struct {
	kind         hostcalls.Resource
	name         string
	namespace    option
	disableCache bool
	fieldMasks   []string
}

func decodeGet(payload []byte) (getRequest, error) {
	var given struct {
		APIVersion   *string  `json:"api_version"`
		Kind         *string  `json:"kind"`
		Name         *string  `json:"name"`
		Namespace    option   `json:"namespace"`
		DisableCache bool     `json:"disable_cache"`
		FieldMasks   []string `json:"field_masks"`
	}
	if err := json.Unmarshal(payload, &given); err != nil {
		return getRequest{}, fmt.Errorf("decode get request: %w", err)
	}
	if err := required([]string{"api_version", "kind", "name"}, given.APIVersion, given.Kind, given.Name); err != nil {
		return getRequest{}, fmt.Errorf("decode get request: %w", err)
	}
	return getRequest{
		kind:         hostcalls.Resource{APIVersion: *given.APIVersion, Kind: *given.Kind},
		name:         *given.Name,
		namespace:    given.Namespace,
		disableCache: given.DisableCache,
		fieldMasks:   given.FieldMasks,
	}, nil
}

func (r getRequest) question() hostcalls.Question {
	return hostcalls.Question{Variant: "KubernetesGetResource", Fields: append(kindFields(r.kind),
		hostcalls.Field{Name: "name", Value: r.name},
		hostcalls.Field{Name: "namespace", Value: r.namespace.given},
		hostcalls.Field{Name: "disable_cache", Value: r.disableCache},
		hostcalls.Field{Name: "field_masks", Value: hostcalls.Set(r.fieldMasks)})}
}

// canIRequest is the payload of can_i.
type canIRequest struct {
	review       review
	disableCache bool
}

// decodeCanI reads the payload. One guest SDK writes resourceAttributes where all others write
// resource_attributes.
func decodeCanI(payload []byte) (canIRequest, error) {
	type attributesGiven struct {
		attributes
		Resource *string `json:"resource"`
		Verb     *string `json:"verb"`
	}
	var given struct {
		Review *struct {
			User       *string          `json:"user"`
			Groups     []string         `json:"groups"`
			Attributes *attributesGiven `json:"resource_attributes"`
			CamelCase  *attributesGiven `json:"resourceAttributes"`
		} `json:"subject_access_review"`
		DisableCache bool `json:"disable_cache"`
	}
	if err := json.Unmarshal(payload, &given); err != nil {
		return canIRequest{}, fmt.Errorf("decode can_i request: %w", err)
	}
	if given.Review == nil {
		return canIRequest{}, errors.New("decode can_i request: missing field `subject_access_review`")
	}
	asked := given.Review.Attributes
	if asked == nil {
		asked = given.Review.CamelCase
	}
	if asked == nil {
		return canIRequest{}, errors.New("decode can_i request: missing field `resource_attributes`")
	}
	if err := required([]string{"user", "verb", "resource"}, given.Review.User, asked.Verb, asked.Resource); err != nil {
		return canIRequest{}, fmt.Errorf("decode can_i request: %w", err)
	}
	asked.attributes.Resource, asked.attributes.Verb = *asked.Resource, *asked.Verb
	return canIRequest{review{*given.Review.User, given.Review.Groups, asked.attributes}, given.DisableCache}, nil
}

func (r canIRequest) question() hostcalls.Question {
	a := r.review.ResourceAttributes
	return hostcalls.Question{Variant: "KubernetesCanI", Fields: hostcalls.Fields{
		{Name: "request", Value: hostcalls.Fields{
			{Name: "groups", Value: r.review.Groups},
			{Name: "resource_attributes", Value: hostcalls.Fields{
				{Name: "group", Value: a.Group},
				{Name: "name", Value: a.Name},
				{Name: "namespace", Value: a.Namespace},
				{Name: "resource", Value: a.Resource},
				{Name: "subresource", Value: a.Subresource},
				{Name: "verb", Value: a.Verb},
				{Name: "version", Value: a.Version},
			}},
			{Name: "user", Value: r.review.User},
		}},
		{Name: "disable_cache", Value: r.disableCache},
	}}
}
