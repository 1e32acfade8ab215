package admission

import "policy-server/jsontext"

// Request is what one evaluation is about: the request of an AdmissionReview, or any JSON value
// posted as a raw review. Its parts alias the body it was parsed from, which must not be changed
// while the Request is in use.
type Request struct {
	raw []byte // raw reviews only: the whole request

	uid, operation                                   []byte // raw JSON strings
	name, namespace, subResource, requestSubResource []byte
	kind, resource, requestKind, requestResource     *typeMeta
	user                                             userInfo
	object, oldObject, options, dryRun               []byte
}

// typeMeta is a {group, version, kind} or {group, version, resource}; last is the kind or the
// resource.
type typeMeta struct{ group, version, last []byte }

type userInfo struct{ username, uid, groups, extra []byte }

// ParseReview reads the AdmissionReview an API server posts. kind and apiVersion of the envelope
// are not compared with anything. It checks the whole document in one pass.
//
// Errors: *SyntaxError, *ShapeError. Spec:
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request.
func ParseReview(body []byte) (*Request, error) {
	request := new(Request)
	return request, envelope(body, reviewSchema, request)
}

// ParseRequest reads a bare AdmissionRequest, the value of a review's request field.
func ParseRequest(body []byte) (*Request, error) {
	request := new(Request)
	s := jsontext.NewScanner(body)
	if err := record(s, "struct AdmissionRequest", request, requestSchema); err != nil {
		return nil, err
	}
	return request, s.End()
}

// ParseRawReview reads {"request": any JSON value}, null included. Other members are ignored.
func ParseRawReview(body []byte) (*Request, error) {
	request := new(Request)
	if err := envelope(body, rawReviewSchema, request); err != nil {
		return nil, err
	}
	request.uid = rawUID(request.raw)
	return request, nil
}

// ParseRaw reads any JSON value as a raw request.
func ParseRaw(body []byte) (*Request, error) {
	s := jsontext.NewScanner(body)
	raw, err := s.Value()
	if err != nil {
		return nil, err
	}
	return &Request{raw: raw, uid: rawUID(raw)}, s.End()
}

func envelope(body []byte, schema []field[Request], request *Request) error {
	s := jsontext.NewScanner(body)
	if err := record(s, "struct AdmissionReview", request, schema); err != nil {
		return err
	}
	return s.End()
}

// rawUID finds the uid of a raw request: its member of that name when it is a string, else nil.
func rawUID(raw []byte) (uid []byte) {
	s := jsontext.NewScanner(raw)
	if s.Peek() != '{' {
		return nil
	}
	// The document was scanned before, so there is no error to report.
	_ = s.Object(func(name []byte) error {
		value, err := s.Value()
		if string(name) == "uid" && value[0] == '"' {
			uid = value
		}
		return err
	})
	return uid
}

var reviewSchema = []field[Request]{
	{"kind", false, func(s *jsontext.Scanner, _ *Request) error { _, err := s.OptionalString(); return err }},
	{"apiVersion", false, func(s *jsontext.Scanner, _ *Request) error { _, err := s.OptionalString(); return err }},
	{"request", true, func(s *jsontext.Scanner, r *Request) error {
		return record(s, "struct AdmissionRequest", r, requestSchema)
	}},
}

var rawReviewSchema = []field[Request]{
	{"request", true, func(s *jsontext.Scanner, r *Request) (err error) { r.raw, err = s.Value(); return }},
}

var requestSchema = []field[Request]{
	{"uid", true, func(s *jsontext.Scanner, r *Request) (err error) { r.uid, err = s.RequiredString(); return }},
	{"kind", true, func(s *jsontext.Scanner, r *Request) error { return kindOf(s, &r.kind) }},
	{"resource", true, func(s *jsontext.Scanner, r *Request) error { return resourceOf(s, &r.resource) }},
	{"subResource", false, func(s *jsontext.Scanner, r *Request) (err error) { r.subResource, err = s.OptionalString(); return }},
	{"requestKind", false, func(s *jsontext.Scanner, r *Request) error { return unlessNull(s, &r.requestKind, kindOf) }},
	{"requestResource", false, func(s *jsontext.Scanner, r *Request) error { return unlessNull(s, &r.requestResource, resourceOf) }},
	{"requestSubResource", false, func(s *jsontext.Scanner, r *Request) (err error) {
		r.requestSubResource, err = s.OptionalString()
		return
	}},
	{"name", false, func(s *jsontext.Scanner, r *Request) (err error) { r.name, err = s.OptionalString(); return }},
	{"namespace", false, func(s *jsontext.Scanner, r *Request) (err error) { r.namespace, err = s.OptionalString(); return }},
	{"operation", true, func(s *jsontext.Scanner, r *Request) (err error) { r.operation, err = s.RequiredString(); return }},
	{"userInfo", true, func(s *jsontext.Scanner, r *Request) error { return record(s, "struct UserInfo", &r.user, userSchema) }},
	{"object", false, func(s *jsontext.Scanner, r *Request) (err error) { r.object, err = s.Optional(); return }},
	{"oldObject", false, func(s *jsontext.Scanner, r *Request) (err error) { r.oldObject, err = s.Optional(); return }},
	{"dryRun", false, func(s *jsontext.Scanner, r *Request) (err error) { r.dryRun, err = s.OptionalBool(); return }},
	{"options", false, func(s *jsontext.Scanner, r *Request) (err error) { r.options, err = s.Optional(); return }},
}

var kindSchema = []field[typeMeta]{
	{"group", true, func(s *jsontext.Scanner, m *typeMeta) (err error) { m.group, err = s.RequiredString(); return }},
	{"version", true, func(s *jsontext.Scanner, m *typeMeta) (err error) { m.version, err = s.RequiredString(); return }},
	{"kind", true, func(s *jsontext.Scanner, m *typeMeta) (err error) { m.last, err = s.RequiredString(); return }},
}

var resourceSchema = []field[typeMeta]{
	{"group", true, func(s *jsontext.Scanner, m *typeMeta) (err error) { m.group, err = s.RequiredString(); return }},
	{"version", true, func(s *jsontext.Scanner, m *typeMeta) (err error) { m.version, err = s.RequiredString(); return }},
	{"resource", true, func(s *jsontext.Scanner, m *typeMeta) (err error) { m.last, err = s.RequiredString(); return }},
}

var userSchema = []field[userInfo]{
	{"username", false, func(s *jsontext.Scanner, u *userInfo) (err error) { u.username, err = s.OptionalString(); return }},
	{"uid", false, func(s *jsontext.Scanner, u *userInfo) (err error) { u.uid, err = s.OptionalString(); return }},
	{"groups", false, func(s *jsontext.Scanner, u *userInfo) (err error) { u.groups, err = stringList(s); return }},
	{"extra", false, func(s *jsontext.Scanner, u *userInfo) (err error) { u.extra, err = stringLists(s); return }},
}

func kindOf(s *jsontext.Scanner, to **typeMeta) error {
	*to = new(typeMeta)
	return record(s, "struct GroupVersionKind", *to, kindSchema)
}

func resourceOf(s *jsontext.Scanner, to **typeMeta) error {
	*to = new(typeMeta)
	return record(s, "struct GroupVersionResource", *to, resourceSchema)
}

func unlessNull(s *jsontext.Scanner, to **typeMeta, read func(*jsontext.Scanner, **typeMeta) error) error {
	if null, err := s.Null(); null || err != nil {
		return err
	}
	return read(s, to)
}

// stringList passes over a list of strings or null and returns its bytes.
func stringList(s *jsontext.Scanner) ([]byte, error) {
	if null, err := s.Null(); null || err != nil {
		return nil, err
	}
	return s.Raw(func() error { return s.Strings(func([]byte) {}) })
}

// stringLists passes over a map from name to list of strings, or null, and returns its bytes.
func stringLists(s *jsontext.Scanner) ([]byte, error) {
	if null, err := s.Null(); null || err != nil {
		return nil, err
	}
	return s.Raw(func() error {
		return s.Members(func(string) error { return s.Strings(func([]byte) {}) })
	})
}

// IsRaw reports whether the request came as a raw review.
func (r *Request) IsRaw() bool { return r.raw != nil }

// UID returns the request's uid, which the response must echo; "" for a raw request without one.
func (r *Request) UID() string { return jsontext.Unquote(r.uid) }

// Operation returns CREATE, UPDATE, DELETE or CONNECT, or whatever the client sent; "" for a raw
// request.
func (r *Request) Operation() string { return jsontext.Unquote(r.operation) }

// Namespace returns the object's namespace and whether the request has one.
func (r *Request) Namespace() (string, bool) {
	return jsontext.Unquote(r.namespace), r.namespace != nil
}

// Name returns the object's name, "" when the API server will generate it.
func (r *Request) Name() string { return jsontext.Unquote(r.name) }

// Kind returns the kind of the object in the request, such as "Pod"; "" for a raw request.
func (r *Request) Kind() string {
	if r.kind == nil {
		return ""
	}
	return jsontext.Unquote(r.kind.last)
}

// Baseline returns the document a mutation is compared with: the object under review (nil when
// there is none, as on DELETE), or the whole raw request.
func (r *Request) Baseline() []byte {
	if r.raw != nil {
		return r.raw
	}
	return r.object
}
