package admission

import "policy-server/jsontext"

// Payload returns what a guest receives to evaluate r: {"request":REQUEST,"settings":SETTINGS},
// without white space between the parts we write. settings must be a JSON object.
//
// REQUEST holds the members the guest protocol knows, in sorted order, each as the client sent it;
// absent and null ones are left out, because guest SDKs refuse null for most of them, and unknown
// ones are dropped. A raw request is passed as it is. The result shares nothing with r.
func (r *Request) Payload(settings []byte) []byte {
	// Names, quotes and braces of a full request take under 600 bytes.
	dst := make([]byte, 0, 600+len(settings)+len(r.raw)+len(r.object)+len(r.oldObject)+len(r.options)+
		len(r.user.groups)+len(r.user.extra))
	dst = append(dst, `{"request":`...)
	dst = r.append(dst)
	dst = append(dst, `,"settings":`...)
	dst = append(dst, settings...)
	return append(dst, '}')
}

func (r *Request) append(dst []byte) []byte {
	if r.raw != nil {
		return append(dst, r.raw...)
	}
	o := members{dst: append(dst, '{')}
	o.add("dryRun", r.dryRun)
	o.addType("kind", r.kind, false)
	o.add("name", r.name)
	o.add("namespace", r.namespace)
	o.add("object", r.object)
	o.add("oldObject", r.oldObject)
	o.add("operation", r.operation)
	o.add("options", r.options)
	o.addType("requestKind", r.requestKind, false)
	o.addType("requestResource", r.requestResource, true)
	o.add("requestSubResource", r.requestSubResource)
	o.addType("resource", r.resource, true)
	o.add("subResource", r.subResource)
	o.add("uid", r.uid)
	o.dst = append(o.name("userInfo"), '{')
	user := members{dst: o.dst}
	user.add("extra", r.user.extra)
	user.add("groups", r.user.groups)
	user.add("uid", r.user.uid)
	user.add("username", r.user.username)
	return append(user.dst, '}', '}')
}

// members appends the members of one JSON object.
type members struct {
	dst   []byte
	comma bool
}

func (m *members) name(name string) []byte {
	if m.comma {
		m.dst = append(m.dst, ',')
	}
	m.comma = true
	m.dst = append(m.dst, '"')
	m.dst = append(m.dst, name...)
	return append(m.dst, '"', ':')
}

// add appends a member unless raw is nil.
func (m *members) add(name string, raw []byte) {
	if raw != nil {
		m.dst = append(m.name(name), raw...)
	}
}

func (m *members) addString(name, value string) { m.dst = jsontext.AppendString(m.name(name), value) }

func (m *members) addType(name string, t *typeMeta, resource bool) {
	if t == nil {
		return
	}
	inner := members{dst: append(m.name(name), '{')}
	inner.add("group", t.group)
	if resource {
		inner.add("resource", t.last)
	} else {
		inner.add("kind", t.last)
	}
	inner.add("version", t.version)
	m.dst = append(inner.dst, '}')
}
