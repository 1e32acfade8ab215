// Package document reads the YAML and JSON files that people and controllers write: policies,
// sources, verification configs, metadata, sessions. It gives their values with paths, and collects
// what is wrong with them. It knows no file's meaning. It alone knows the YAML library.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"

	"policy-server/jsontext"
)

// Reader reads documents of one kind of file.
type Reader struct {
	Faults *Faults // takes what is wrong with the values; must be set
	Path   string  // of the document's root, empty for a file
	// AsWanted reads the plain scalars of YAML as what is wanted of them: any is text where text is
	// wanted, and nothing behind a key is an empty list or mapping. The reference reads some files
	// like this, and never JSON.
	AsWanted bool
}

// SeveralError reports a file with more than one document.
type SeveralError struct{ Line int } // of the second document

func (e *SeveralError) Error() string {
	return "deserializing from YAML containing more than one document is not supported"
}

// Read returns the root of data's only document, an absent value when it holds none. What is JSON
// is read as JSON: YAML knows neither \/ nor surrogate pairs, and other tools write both. The error
// is the YAML library's, or a *SeveralError.
func (r Reader) Read(data []byte) (Value, error) {
	if err := jsontext.Check(data); err == nil {
		return r.ReadJSON(data)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return r.value(nil, false), nil
	case err != nil:
		return Value{}, err
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return Value{}, &SeveralError{second.Line}
	case !errors.Is(err, io.EOF):
		return Value{}, err
	}
	root := first.Content[0]
	if isEmpty(root) { // "---" alone
		root = nil
	}
	return r.value(root, false), nil
}

// ReadJSON returns the root of a JSON document. The error says why data is none.
func (r Reader) ReadJSON(data []byte) (Value, error) {
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil { // which bounds the depth as well
		return Value{}, err
	}
	root, err := readJSON(data)
	return r.value(root, true), err
}

func (r Reader) value(root *yaml.Node, isJSON bool) Value {
	return Value{node: root, path: r.Path, source: &source{r.Faults, r.AsWanted && !isJSON}}
}

// source is what all values of a document share.
type source struct {
	faults   *Faults
	asWanted bool
}

// isEmpty reports whether nothing is written where node stands.
func isEmpty(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Value == "" && node.Style == 0
}

// follow returns what an alias stands for. An alias may stand for what it is part of: only
// AppendJSON goes deeper than the caller asks, and it looks out for that.
func follow(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
