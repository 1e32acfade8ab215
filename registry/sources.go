package registry

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Sources says which hosts may be reached in what way. The zero value allows HTTPS with the system's certificate
// authorities only, through the proxies of the environment.
//
// Hosts are written host or host:port, as in Reference.Host, and match whole; "docker.io" stands for the host that serves
// Docker Hub too.
type Sources struct {
	// InsecureSources lists hosts that may also be reached over HTTPS with any certificate and over plain HTTP, in this
	// order, when HTTPS with a verified certificate fails.
	InsecureSources []string
	// SourceAuthorities adds certificate authorities for one host each, to the system's.
	SourceAuthorities map[string][]Authority
	// Proxies, when present, replaces the proxy variables of the environment as a whole.
	Proxies *Proxies
}

// Authority is a certificate authority: a file, or its content. Exactly one field is set.
type Authority struct {
	Path string // a PEM or DER file
	Data []byte // PEM or DER
}

// Proxies holds proxy URLs, host[:port] meaning http. NoProxy is a comma-separated list of hosts, as in the variable
// NO_PROXY. An empty field means no proxy for that scheme.
type Proxies struct {
	HTTPProxy  string
	HTTPSProxy string
	NoProxy    string
}

// ParseSources reads a sources file, one YAML or JSON document in which every key is optional. Keys it does not know are
// ignored and returned as paths ("proxies.ftp_proxy"), since the file is shared with other tools. The error joins all
// faults, each with its path and place in the file. Authority files are not opened: Open does that.
func ParseSources(file []byte) (sources Sources, ignored []string, err error) {
	var document, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(file))
	if err := documents.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return Sources{}, nil, err
	}
	switch err := documents.Decode(&more); {
	case err == nil:
		return Sources{}, nil, fmt.Errorf("a second document at line %d, expected one document", more.Line)
	case !errors.Is(err, io.EOF):
		return Sources{}, nil, err
	}
	if len(document.Content) == 0 {
		return Sources{}, nil, nil
	}
	reader := &sourcesReader{}
	sources = reader.sources(document.Content[0])
	if len(reader.faults) > 0 {
		return Sources{}, reader.ignored, errors.Join(reader.faults...)
	}
	return sources, reader.ignored, nil
}

// sourcesReader walks the document and collects what is wrong with it.
type sourcesReader struct {
	faults  []error
	ignored []string
}

func (r *sourcesReader) sources(node *yaml.Node) (sources Sources) {
	r.fields(node, "", map[string]func(*yaml.Node, string){
		"insecure_sources": func(list *yaml.Node, path string) {
			r.each(list, path, func(host *yaml.Node, path string) {
				sources.InsecureSources = append(sources.InsecureSources, r.text(host, path))
			})
		},
		"source_authorities": func(hosts *yaml.Node, path string) {
			sources.SourceAuthorities = map[string][]Authority{}
			r.entries(hosts, path, func(host string, list *yaml.Node, path string) {
				r.each(list, path, func(entry *yaml.Node, path string) {
					sources.SourceAuthorities[host] = append(sources.SourceAuthorities[host], r.authority(entry, path))
				})
			})
		},
		"proxies": func(section *yaml.Node, path string) { sources.Proxies = r.proxies(section, path) },
	})
	return sources
}

func (r *sourcesReader) authority(node *yaml.Node, path string) (authority Authority) {
	if node.Kind != yaml.MappingNode {
		r.expected(node, path, "a map")
		return authority
	}
	var kind, file, data *yaml.Node
	r.fields(node, path, map[string]func(*yaml.Node, string){
		"type": func(n *yaml.Node, _ string) { kind = n },
		"path": func(n *yaml.Node, _ string) { file = n },
		"data": func(n *yaml.Node, _ string) { data = n },
	})
	switch {
	case kind == nil:
		r.fault(node, path, "missing field `type`")
	case kind.Value == "Path" && (file == nil || file.Value == ""):
		r.fault(node, path, "missing field `path`")
	case kind.Value == "Path":
		authority.Path = r.text(file, path+".path")
	case kind.Value == "Data" && data == nil:
		r.fault(node, path, "missing field `data`")
	case kind.Value == "Data":
		authority.Data = r.certificate(data, path+".data")
	default:
		r.fault(kind, path+".type", fmt.Sprintf("unknown variant `%s`, expected `Data` or `Path`", kind.Value))
	}
	return authority
}

func (r *sourcesReader) proxies(node *yaml.Node, path string) *Proxies {
	proxies := &Proxies{}
	proxy := func(to *string) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			*to = r.text(n, path)
			// A proxy that cannot be parsed would be passed by in silence. It is not quoted: it may hold a password.
			if *to != "" && !isProxyAddress(*to) {
				r.fault(n, path, "invalid proxy address, expected http://HOST:PORT")
			}
		}
	}
	r.fields(node, path, map[string]func(*yaml.Node, string){
		"http_proxy":  proxy(&proxies.HTTPProxy),
		"https_proxy": proxy(&proxies.HTTPSProxy),
		"no_proxy":    func(n *yaml.Node, path string) { proxies.NoProxy = r.text(n, path) },
	})
	return proxies
}

func isProxyAddress(text string) bool {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// fields calls the reader of each known key of a mapping that has a value, and notes the unknown ones.
func (r *sourcesReader) fields(node *yaml.Node, path string, known map[string]func(*yaml.Node, string)) {
	r.entries(node, path, func(key string, value *yaml.Node, path string) {
		if read := known[key]; read != nil {
			read(value, path)
		} else {
			r.ignored = append(r.ignored, path)
		}
	})
}

// entries calls read for each key of a mapping whose value is not null.
func (r *sourcesReader) entries(node *yaml.Node, path string, read func(key string, value *yaml.Node, path string)) {
	node = resolve(node)
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		r.expected(node, path, "a map")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := resolve(node.Content[i]), resolve(node.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			r.expected(key, path, "a string as key")
			continue
		}
		if seen[key.Value] {
			r.fault(key, path, fmt.Sprintf("duplicate field `%s`", key.Value))
			continue
		}
		seen[key.Value] = true
		if isNull(value) {
			continue
		}
		under := key.Value
		if path != "" {
			under = path + "." + key.Value
		}
		read(key.Value, value, under)
	}
}

func (r *sourcesReader) each(node *yaml.Node, path string, read func(item *yaml.Node, path string)) {
	if node.Kind != yaml.SequenceNode {
		r.expected(node, path, "a sequence")
		return
	}
	for i, item := range node.Content {
		read(resolve(item), path+"["+strconv.Itoa(i)+"]")
	}
}

// text takes numbers for what they look like: a host may be written 5000 as well as "5000".
func (r *sourcesReader) text(node *yaml.Node, path string) string {
	if node.Kind != yaml.ScalarNode || isNull(node) {
		r.expected(node, path, "a string")
		return ""
	}
	return node.Value
}

// certificate reads text, or a list of byte values.
func (r *sourcesReader) certificate(node *yaml.Node, path string) []byte {
	var content []byte
	before := len(r.faults)
	if node.Kind == yaml.SequenceNode {
		r.each(node, path, func(item *yaml.Node, path string) {
			b, err := strconv.ParseUint(item.Value, 10, 8)
			if err != nil {
				r.expected(item, path, "a number from 0 to 255")
			}
			content = append(content, byte(b))
		})
	} else {
		content = []byte(r.text(node, path))
	}
	if len(r.faults) > before {
		return nil
	}
	if _, err := parseCertificates(content); err != nil {
		r.fault(node, path, err.Error())
	}
	return content
}

func (r *sourcesReader) expected(node *yaml.Node, path, what string) {
	var found string
	switch {
	case isNull(node):
		found = "null"
	case node.Kind == yaml.MappingNode:
		found = "map"
	case node.Kind == yaml.SequenceNode:
		found = "sequence"
	default:
		kinds := map[string]string{"!!str": "string", "!!int": "integer", "!!float": "float", "!!bool": "boolean"}
		found = fmt.Sprintf("%s %q", cmp.Or(kinds[node.ShortTag()], "scalar"), node.Value)
	}
	r.fault(node, path, fmt.Sprintf("invalid type: %s, expected %s", found, what))
}

func (r *sourcesReader) fault(node *yaml.Node, path, what string) {
	if path != "" {
		what = path + ": " + what
	}
	r.faults = append(r.faults, fmt.Errorf("%s at line %d column %d", what, node.Line, node.Column))
}

func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}
