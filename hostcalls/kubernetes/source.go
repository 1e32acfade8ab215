package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"policy-server/hostcalls"
)

// source asks the API server for a part of the cluster: the pages of a list, and the stream of what
// changes. What is not kept of an object is dropped as it is read.
type source struct {
	client         rest.Interface
	kind           hostcalls.Resource
	mapping        mapping
	namespace      string // "": all
	labels, fields string // selectors, as the policy wrote them
	keep           mask
}

func (s *source) listWatch() *cache.ListWatch {
	return &cache.ListWatch{ListWithContextFunc: s.list, WatchFuncWithContext: s.watch}
}

// list reads one page.
func (s *source) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	if options.ResourceVersion == "0" {
		// Any state would do for a reflector, but the API server then ignores the limit, and the
		// first answer to a policy could be older than the object it is about.
		options.ResourceVersion = ""
	}
	text, err := body(s.request(options).Do(ctx))
	if err != nil {
		return nil, err
	}
	p, err := readPage(text, s.kind, s.keep)
	if err != nil {
		return nil, err
	}
	return &metainternal.List{ListMeta: p.meta, Items: p.items}, nil
}

// watch opens the stream of changes.
func (s *source) watch(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
	options.Watch = true
	stream, err := s.request(options).Stream(ctx)
	if err != nil {
		return nil, err
	}
	limited := &bounded{ReadCloser: stream, what: "event", limit: maxEventBytes}
	events := &events{stream: limited, decoder: json.NewDecoder(limited), source: s}
	return apiwatch.NewStreamWatcher(events, apierrors.NewClientErrorReporter(http.StatusInternalServerError, "GET", "ClientWatchDecoding")), nil
}

func (s *source) request(options metav1.ListOptions) *rest.Request {
	request := s.mapping.request(s.client, s.namespace)
	for _, p := range []struct{ name, value string }{
		{"labelSelector", s.labels}, {"fieldSelector", s.fields},
		{"resourceVersion", options.ResourceVersion}, {"resourceVersionMatch", string(options.ResourceVersionMatch)},
		{"continue", options.Continue},
	} {
		if p.value != "" {
			request = request.Param(p.name, p.value)
		}
	}
	if options.Limit > 0 {
		request = request.Param("limit", strconv.FormatInt(options.Limit, 10))
	}
	if options.TimeoutSeconds != nil {
		request = request.Param("timeoutSeconds", strconv.FormatInt(*options.TimeoutSeconds, 10))
	}
	if options.Watch {
		request = request.Param("watch", "true").Param("allowWatchBookmarks", strconv.FormatBool(options.AllowWatchBookmarks))
	}
	return request
}

// events reads the stream of changes. It is what apiwatch.Decoder wants.
type events struct {
	stream  *bounded
	decoder *json.Decoder
	source  *source
}

// Decode waits for the next event.
func (e *events) Decode() (apiwatch.EventType, runtime.Object, error) {
	var event struct {
		Type   apiwatch.EventType
		Object json.RawMessage
	}
	e.stream.left = e.stream.limit
	if err := e.decoder.Decode(&event); err != nil {
		return "", nil, err
	}
	switch event.Type {
	case apiwatch.Added, apiwatch.Modified, apiwatch.Deleted, apiwatch.Bookmark:
		o, err := readObject(event.Object, e.source.kind, e.source.keep)
		return event.Type, o, err
	case apiwatch.Error:
		var status metav1.Status
		err := json.Unmarshal(event.Object, &status)
		return event.Type, &status, err
	}
	return "", nil, fmt.Errorf("unknown watch event %q", event.Type)
}

// Close ends the stream.
func (e *events) Close() { _ = e.stream.Close() } // nothing is lost
