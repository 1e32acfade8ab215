package sdk

// The host reads the cluster with its own account. A policy needs the capability (hostCapabilities)
// and, except for CanI, the kind (contextAwareResources) in its definition.

// A ListQuery says which objects of the cluster a policy wants to see, and what of them. APIVersion
// and Kind are required: "v1" and "Pod", "apps/v1" and "Deployment".
type ListQuery struct {
	APIVersion string
	Kind       string
	Namespace  string // empty: those of all namespaces, and those without one

	// Selectors in the API's syntax: "app=web,tier!=test". Mind what goes into them: the host
	// watches each selection of its own that it is asked for.
	LabelSelector string
	FieldSelector string

	// FieldMasks are paths such as "spec.containers.image". The host keeps and sends only these,
	// beside apiVersion, kind and metadata: in a large cluster that is most of the cost of a list.
	// Empty: everything.
	FieldMasks []string
}

// ListResources returns the objects that the query selects, as the elements of an array. The host
// answers from a watch, so the objects are those of a moment ago; only the first list of a
// selection waits for the API server. Objects lack managedFields and the annotation in which
// kubectl keeps a copy.
//
//	kubernetes/list_resources_all, kubernetes/list_resources_by_namespace
func ListResources(q ListQuery) (objects Value, err error) {
	operation := "list_resources_all"
	var p payload
	p.addText("api_version", q.APIVersion)
	p.addText("kind", q.Kind)
	if q.Namespace != "" {
		operation = "list_resources_by_namespace"
		p.addText("namespace", q.Namespace)
	}
	p.addOptional("label_selector", q.LabelSelector)
	p.addOptional("field_selector", q.FieldSelector)
	p.addTexts("field_masks", q.FieldMasks)
	return memberOf("kubernetes", operation, p.value(), "items", Array)
}

// A GetQuery names one object of the cluster. Namespace is required for kinds that have namespaces,
// and ignored for others.
type GetQuery struct {
	APIVersion string
	Kind       string
	Name       string
	Namespace  string

	FieldMasks []string // as in ListQuery

	// Now asks the API server, instead of taking what the host may have read up to five seconds
	// ago.
	Now bool
}

// GetResource returns one object as the API server has it. An object that is not there is a
// *HostError, and so is everything else that goes wrong.
//
//	kubernetes/get_resource
func GetResource(q GetQuery) (object Value, err error) {
	var p payload
	p.addText("api_version", q.APIVersion)
	p.addText("kind", q.Kind)
	p.addText("name", q.Name)
	p.addOptional("namespace", q.Namespace)
	p.add("disable_cache", truth(q.Now))
	p.addTexts("field_masks", q.FieldMasks)
	return answerOf("kubernetes", "get_resource", p.value(), Object)
}

// An AccessQuery asks whether somebody may do something. User, Verb and Resource are required:
// Resource is the plural, "pods".
type AccessQuery struct {
	User   string
	Groups []string

	Verb        string
	Resource    string
	Subresource string
	Group       string // of the API; empty: the core group
	Version     string // empty: any
	Namespace   string // empty: all of them, or the cluster itself
	Name        string // empty: any

	// Now asks the API server, instead of taking what it may have said up to five seconds ago.
	Now bool
}

// Access is the API server's verdict on an AccessQuery.
type Access struct {
	Allowed bool
	Denied  bool   // explicitly, so that no other authorizer was asked
	Reason  string // may be empty
}

// CanI asks the API server whether a user may do something. It needs no kind in the policy's
// definition.
//
//	kubernetes/can_i
func CanI(q AccessQuery) (Access, error) {
	var attributes payload
	attributes.addText("verb", q.Verb)
	attributes.addText("resource", q.Resource)
	attributes.addOptional("subresource", q.Subresource)
	attributes.addOptional("group", q.Group)
	attributes.addOptional("version", q.Version)
	attributes.addOptional("namespace", q.Namespace)
	attributes.addOptional("name", q.Name)
	var review payload
	review.addText("user", q.User)
	review.addTexts("groups", q.Groups)
	review.add("resource_attributes", attributes.value().text)
	var p payload
	p.add("subject_access_review", review.value().text)
	p.add("disable_cache", truth(q.Now))
	answer, err := answerOf("kubernetes", "can_i", p.value(), Object)
	if err != nil {
		return Access{}, err
	}
	reason, _ := answer.Get("reason").Text()
	return Access{Allowed: answer.Get("allowed").IsTrue(), Denied: answer.Get("denied").IsTrue(), Reason: reason}, nil
}

func truth(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
