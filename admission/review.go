package admission

// Request is what one evaluation is about: the request of an AdmissionReview, or any JSON value posted as a raw
// review. Its parts alias the body it was parsed from, which must not be changed while the Request is in use.
type Request struct {
	raw []byte // raw reviews only: the whole request

	uid, operation                                   []byte // raw JSON strings
	name, namespace, subResource, requestSubResource []byte
	kind, resource, requestKind, requestResource     *typeMeta
	user                                             userInfo
	object, oldObject, options, dryRun               []byte
}

// typeMeta is a {group, version, kind} or {group, version, resource}; last is the kind or the resource.
type typeMeta struct{ group, version, last []byte }

type userInfo struct{ username, uid, groups, extra []byte }

// ParseReview reads the AdmissionReview an API server posts. kind and apiVersion of the envelope are not compared with
// anything. It checks the whole document in one pass.
//
// Errors: *SyntaxError, *ShapeError. Spec: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request.
func ParseReview(body []byte) (*Request, error) {
	request := new(Request)
	return request, envelope(body, reviewSchema, request)
}

// ParseRequest reads a bare AdmissionRequest, the value of a review's request field.
func ParseRequest(body []byte) (*Request, error) {
	request := new(Request)
	s := &scanner{data: body}
	if err := record(s, "struct AdmissionRequest", request, requestSchema); err != nil {
		return nil, err
	}
	return request, s.end()
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
	s := &scanner{data: body}
	raw, err := s.value()
	if err != nil {
		return nil, err
	}
	return &Request{raw: raw, uid: rawUID(raw)}, s.end()
}

func envelope(body []byte, schema []field[Request], request *Request) error {
	s := &scanner{data: body}
	if err := record(s, "struct AdmissionReview", request, schema); err != nil {
		return err
	}
	return s.end()
}

// rawUID finds the uid of a raw request: its member of that name when it is a string, else nil.
func rawUID(raw []byte) (uid []byte) {
	s := &scanner{data: raw}
	if s.peek() != '{' {
		return nil
	}
	// The document was scanned before, so there is no error to report.
	_ = s.object(func(name []byte) error {
		value, err := s.value()
		if string(name) == "uid" && value[0] == '"' {
			uid = value
		}
		return err
	})
	return uid
}

var reviewSchema = []field[Request]{
	{"kind", false, func(s *scanner, _ *Request) error { _, err := s.optionalString(); return err }},
	{"apiVersion", false, func(s *scanner, _ *Request) error { _, err := s.optionalString(); return err }},
	{"request", true, func(s *scanner, r *Request) error {
		return record(s, "struct AdmissionRequest", r, requestSchema)
	}},
}

var rawReviewSchema = []field[Request]{
	{"request", true, func(s *scanner, r *Request) (err error) { r.raw, err = s.value(); return }},
}

var requestSchema = []field[Request]{
	{"uid", true, func(s *scanner, r *Request) (err error) { r.uid, err = s.requiredString(); return }},
	{"kind", true, func(s *scanner, r *Request) error { return kindOf(s, &r.kind) }},
	{"resource", true, func(s *scanner, r *Request) error { return resourceOf(s, &r.resource) }},
	{"subResource", false, func(s *scanner, r *Request) (err error) { r.subResource, err = s.optionalString(); return }},
	{"requestKind", false, func(s *scanner, r *Request) error { return unlessNull(s, &r.requestKind, kindOf) }},
	{"requestResource", false, func(s *scanner, r *Request) error { return unlessNull(s, &r.requestResource, resourceOf) }},
	{"requestSubResource", false, func(s *scanner, r *Request) (err error) { r.requestSubResource, err = s.optionalString(); return }},
	{"name", false, func(s *scanner, r *Request) (err error) { r.name, err = s.optionalString(); return }},
	{"namespace", false, func(s *scanner, r *Request) (err error) { r.namespace, err = s.optionalString(); return }},
	{"operation", true, func(s *scanner, r *Request) (err error) { r.operation, err = s.requiredString(); return }},
	{"userInfo", true, func(s *scanner, r *Request) error { return record(s, "struct UserInfo", &r.user, userSchema) }},
	{"object", false, func(s *scanner, r *Request) (err error) { r.object, err = s.optional(); return }},
	{"oldObject", false, func(s *scanner, r *Request) (err error) { r.oldObject, err = s.optional(); return }},
	{"dryRun", false, func(s *scanner, r *Request) (err error) { r.dryRun, err = s.optionalBool(); return }},
	{"options", false, func(s *scanner, r *Request) (err error) { r.options, err = s.optional(); return }},
}

var kindSchema = []field[typeMeta]{
	{"group", true, func(s *scanner, m *typeMeta) (err error) { m.group, err = s.requiredString(); return }},
	{"version", true, func(s *scanner, m *typeMeta) (err error) { m.version, err = s.requiredString(); return }},
	{"kind", true, func(s *scanner, m *typeMeta) (err error) { m.last, err = s.requiredString(); return }},
}

var resourceSchema = []field[typeMeta]{
	{"group", true, func(s *scanner, m *typeMeta) (err error) { m.group, err = s.requiredString(); return }},
	{"version", true, func(s *scanner, m *typeMeta) (err error) { m.version, err = s.requiredString(); return }},
	{"resource", true, func(s *scanner, m *typeMeta) (err error) { m.last, err = s.requiredString(); return }},
}

var userSchema = []field[userInfo]{
	{"username", false, func(s *scanner, u *userInfo) (err error) { u.username, err = s.optionalString(); return }},
	{"uid", false, func(s *scanner, u *userInfo) (err error) { u.uid, err = s.optionalString(); return }},
	{"groups", false, func(s *scanner, u *userInfo) (err error) { u.groups, err = s.stringList(); return }},
	{"extra", false, func(s *scanner, u *userInfo) (err error) { u.extra, err = s.stringLists(); return }},
}

func kindOf(s *scanner, to **typeMeta) error {
	*to = new(typeMeta)
	return record(s, "struct GroupVersionKind", *to, kindSchema)
}

func resourceOf(s *scanner, to **typeMeta) error {
	*to = new(typeMeta)
	return record(s, "struct GroupVersionResource", *to, resourceSchema)
}

func unlessNull(s *scanner, to **typeMeta, read func(*scanner, **typeMeta) error) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	return read(s, to)
}

// stringList passes over a list of strings or null and returns its bytes.
func (s *scanner) stringList() ([]byte, error) {
	if null, err := s.null(); null || err != nil {
		return nil, err
	}
	s.space()
	start := s.pos
	err := s.strings(func([]byte) {})
	return s.data[start:s.pos], err
}

// stringLists passes over a map from name to list of strings, or null, and returns its bytes.
func (s *scanner) stringLists() ([]byte, error) {
	if null, err := s.null(); null || err != nil {
		return nil, err
	}
	s.space()
	start := s.pos
	err := s.members(func(string) error { return s.strings(func([]byte) {}) })
	return s.data[start:s.pos], err
}

// IsRaw reports whether the request came as a raw review.
func (r *Request) IsRaw() bool { return r.raw != nil }

// UID returns the request's uid, which the response must echo; "" for a raw request without one.
func (r *Request) UID() string { return unquote(r.uid) }

// Operation returns CREATE, UPDATE, DELETE or CONNECT, or whatever the client sent; "" for a raw request.
func (r *Request) Operation() string { return unquote(r.operation) }

// Namespace returns the object's namespace and whether the request has one.
func (r *Request) Namespace() (string, bool) { return unquote(r.namespace), r.namespace != nil }

// Name returns the object's name, "" when the API server will generate it.
func (r *Request) Name() string { return unquote(r.name) }

// Kind returns the kind of the object in the request, such as "Pod"; "" for a raw request.
func (r *Request) Kind() string {
	if r.kind == nil {
		return ""
	}
	return unquote(r.kind.last)
}

// Baseline returns the document a mutation is compared with: the object under review (nil when there is none, as on
// DELETE), or the whole raw request.
func (r *Request) Baseline() []byte {
	if r.raw != nil {
		return r.raw
	}
	return r.object
}
