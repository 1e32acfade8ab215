package registry

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"policy-server/document"
)

// Sources says which hosts may be reached in what way. The zero value allows HTTPS with the
// system's certificate authorities only, through the proxies of the environment.
//
// Hosts are written host or host:port, as in Reference.Host, and match whole; "docker.io" stands
// for the host that serves Docker Hub too.
type Sources struct {
	// InsecureSources lists hosts that may also be reached over HTTPS with any certificate and over
	// plain HTTP, in this order, when HTTPS with a verified certificate fails.
	InsecureSources []string
	// SourceAuthorities adds certificate authorities for one host each, to the system's.
	SourceAuthorities map[string][]Authority
	// GuestRegistries lists the registries that guests may ask through host capabilities. "*"
	// stands for all that are not listed, except for addresses of this machine and of its link; so
	// does an empty list. Hosts listed above are as good as listed here.
	GuestRegistries []string
	// Proxies, when present, replaces the proxy variables of the environment as a whole.
	Proxies *Proxies
}

// Authority is a certificate authority: a file, or its content. Exactly one field is set.
type Authority struct {
	Path string // a PEM or DER file
	Data []byte // PEM or DER
}

// Proxies holds proxy URLs, host[:port] meaning http. NoProxy is a comma-separated list of hosts,
// as in the variable NO_PROXY. An empty field means no proxy for that scheme.
type Proxies struct {
	HTTPProxy  string
	HTTPSProxy string
	NoProxy    string
}

// ParseSources reads a sources file, one YAML or JSON document in which every key is optional. Keys
// it does not know are ignored, since the file is shared with other tools. The warnings tell of
// them, by their paths ("proxies.ftp_proxy"), and of hosts that can be none. The error holds all
// faults, each with its path and place in the file. Authority files are not opened: Open does that.
func ParseSources(file []byte) (sources Sources, warnings []string, err error) {
	found := &document.Faults{Words: sourcesWords}
	root, err := document.Reader{Faults: found}.Read(file)
	if several, ok := errors.AsType[*document.SeveralError](err); ok {
		err = fmt.Errorf("a second document at line %d, expected one document", several.Line)
	}
	if err != nil {
		return Sources{}, nil, err
	}
	r := &sourcesReader{faults: found}
	sources = r.sources(root.Optional())
	slices.Sort(r.warnings)
	if err := found.Err(); err != nil {
		return Sources{}, r.warnings, err
	}
	return sources, r.warnings, nil
}

// sourcesWords words faults as the reference does.
func sourcesWords(f document.Fault) string {
	switch f.Problem {
	case document.Mismatch:
		want := strings.NewReplacer(document.WantMapping, "a map", document.WantList, "a sequence", document.WantKey, "a string as key").Replace(f.Want)
		f.Text = fmt.Sprintf("invalid type: %s, expected %s", sourcesKind(f.Got), want)
	case document.Missing:
		f.Text = fmt.Sprintf("missing field `%s`", f.Key)
	case document.Duplicate:
		f.Text = fmt.Sprintf("duplicate field `%s`", f.Key)
	}
	f.Problem = document.Other
	return fmt.Sprintf("%s at line %d column %d", document.Words(f), f.Line, f.Column)
}

func sourcesKind(v document.Value) string {
	kinds := map[document.Kind]string{
		document.Null: "null", document.Map: "map", document.List: "sequence", document.Tagged: v.Describe(),
		document.Truth: "boolean", document.Number: "integer", document.Text: "string",
	}
	if strings.ContainsAny(v.Number(), ".e") {
		kinds[document.Number] = "float"
	}
	if text, ok := v.Scalar(); ok && v.Kind() != document.Null {
		return fmt.Sprintf("%s %q", kinds[v.Kind()], text)
	}
	return kinds[v.Kind()]
}

// sourcesReader notes what it passes by.
type sourcesReader struct {
	faults   *document.Faults
	warnings []string
}

func (r *sourcesReader) fields(v document.Value, known ...string) (document.Mapping, bool) {
	m, ok := v.Mapping()
	for _, path := range m.Unknown(known...) {
		r.warn("%s: unknown key, ignored", path)
	}
	return m, ok
}

func (r *sourcesReader) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// hosts reads a list of hosts. What can be none is taken even so, as Kubewarden takes it.
func (r *sourcesReader) hosts(m document.Mapping, key string, besides ...string) (hosts []string) {
	for i, entry := range m.Optional(key).List() {
		host := sourcesText(entry)
		if !isHost(host) && !slices.Contains(besides, host) {
			r.warn("%s[%d]: %q matches no host, expected HOST or HOST:PORT", key, i, host)
		}
		hosts = append(hosts, host)
	}
	return hosts
}

func (r *sourcesReader) sources(root document.Value) (sources Sources) {
	m, _ := r.fields(root, "insecure_sources", "source_authorities", "guest_registries", "proxies")
	sources.InsecureSources = r.hosts(m, "insecure_sources")
	sources.GuestRegistries = r.hosts(m, "guest_registries", anyGuestRegistry)
	if hosts, ok := m.Optional("source_authorities").Mapping(); ok {
		sources.SourceAuthorities = map[string][]Authority{}
		for host, list := range hosts.Each() {
			if !isHost(host) {
				r.warn("source_authorities.%s: matches no host, expected HOST or HOST:PORT", host)
			}
			for _, entry := range list.Optional().List() {
				sources.SourceAuthorities[host] = append(sources.SourceAuthorities[host], r.authority(entry))
			}
		}
	}
	if proxies := m.Optional("proxies"); proxies.Exists() {
		sources.Proxies = r.proxies(proxies)
	}
	return sources
}

func (r *sourcesReader) authority(v document.Value) (authority Authority) {
	m, ok := r.fields(v, "type", "path", "data")
	if !ok {
		return authority
	}
	kind := m.Required("type")
	switch text, _ := kind.Scalar(); {
	case !kind.Exists():
	case text == "Path":
		file := m.Required("path")
		if authority.Path = sourcesText(file); authority.Path == "" && file.Kind() == document.Text {
			m.Fault("missing field `path`")
		}
	case text == "Data":
		if data := m.Required("data"); data.Exists() {
			authority.Data = r.certificate(data)
		}
	default:
		kind.Fault("unknown variant `%s`, expected `Data` or `Path`", text)
	}
	return authority
}

func (r *sourcesReader) proxies(v document.Value) *Proxies {
	m, _ := r.fields(v, "http_proxy", "https_proxy", "no_proxy")
	address := func(key string) string {
		text := sourcesText(m.Optional(key))
		// A proxy that cannot be parsed would be passed by in silence. It is not quoted: it may
		// hold a password.
		if text != "" && !isProxyAddress(text) {
			m.Field(key).Fault("invalid proxy address, expected http://HOST:PORT")
		}
		return text
	}
	return &Proxies{
		HTTPProxy: address("http_proxy"), HTTPSProxy: address("https_proxy"), NoProxy: sourcesText(m.Optional("no_proxy")),
	}
}

func isProxyAddress(text string) bool {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// sourcesText takes numbers for what they look like: a host may be written 5000 as well as "5000".
func sourcesText(v document.Value) string {
	text, ok := v.Scalar()
	if v.Exists() && (!ok || v.Kind() == document.Null) {
		v.Mismatch(document.WantText)
		return ""
	}
	return text
}

// certificate reads text, or a list of byte values.
func (r *sourcesReader) certificate(v document.Value) []byte {
	before := r.faults.Len()
	content := []byte{}
	if v.Kind() == document.List {
		for _, item := range v.List() {
			b, err := strconv.ParseUint(item.Number(), 10, 8)
			if err != nil {
				item.Mismatch("a number from 0 to 255")
			}
			content = append(content, byte(b))
		}
	} else {
		content = []byte(sourcesText(v))
	}
	if r.faults.Len() > before {
		return nil
	}
	if _, err := parseCertificates(content); err != nil {
		v.Fault("%v", err)
	}
	return content
}
