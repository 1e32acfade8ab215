package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"policy-server/hostcalls"
	"policy-server/hostcalls/kubernetes"
	exchanges "policy-server/hostcalls/session"
)

const failed = "Callback evaluation failure: "

// policy makes host calls with every capability granted, and these kinds.
type policy struct {
	t          testing.TB
	dispatcher *hostcalls.Dispatcher
	kinds      []hostcalls.Resource
}

// kind reads "apps/v1 Deployment".
func kind(text string) hostcalls.Resource {
	apiVersion, name, _ := strings.Cut(text, " ")
	return hostcalls.Resource{APIVersion: apiVersion, Kind: name}
}

func newPolicy(t testing.TB, cluster *kubernetes.Cluster, kinds ...string) *policy {
	p := &policy{t: t, dispatcher: hostcalls.NewDispatcher(kubernetes.Capabilities(cluster), zap.NewNop())}
	for _, text := range kinds {
		p.kinds = append(p.kinds, kind(text))
	}
	return p
}

func (p *policy) callsUntil(ctx context.Context, operation, payload string) (string, error) {
	p.t.Helper()
	grants, err := hostcalls.ParseGrants([]string{"*"})
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := p.dispatcher.Evaluation("p", grants, p.kinds).Call(ctx, "kubernetes", operation, []byte(payload))
	return string(answer), err
}

func (p *policy) calls(operation, payload string) (string, error) {
	p.t.Helper()
	return p.callsUntil(p.t.Context(), operation, payload)
}

// gets makes a call that must succeed.
func (p *policy) gets(operation, payload string) string {
	p.t.Helper()
	answer, err := p.calls(operation, payload)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// fails makes a call that must fail with an error that begins with want.
func (p *policy) fails(operation, payload, want string) {
	p.t.Helper()
	if answer, err := p.calls(operation, payload); err == nil || !strings.HasPrefix(err.Error(), want) {
		p.t.Errorf("%s of %s: answer %s, error %v, expected %q", operation, payload, answer, err, want)
	}
}

// asks makes a request of the host's own.
func (p *policy) asks(request hostcalls.Request) (string, error) {
	answer, err := p.dispatcher.Evaluation("p", hostcalls.Grants{}, p.kinds).Ask(p.t.Context(), request)
	return string(answer), err
}

// mayHaveChanged asks whether the inventory of Pods may have changed since an instant.
func (p *policy) mayHaveChanged(cluster *kubernetes.Cluster, since time.Time) bool {
	p.t.Helper()
	answer, err := p.asks(cluster.ChangedSinceRequest(kind("v1 Pod"), time.Since(since)))
	if err != nil {
		p.t.Fatal(err)
	}
	return answer == "true"
}

// names returns the names of a list's items, with their namespaces.
func names(t testing.TB, list string) string {
	t.Helper()
	var l struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(list), &l); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	var all []string
	for _, item := range l.Items {
		all = append(all, strings.TrimPrefix(item.Metadata.Namespace+"/"+item.Metadata.Name, "/"))
	}
	return strings.Join(all, " ")
}

const (
	pod        = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q,"labels":{"app":%q}},"spec":{"containers":[{"name":"c","image":"nginx"}]},"status":{"phase":"Running"}}`
	allPods    = `{"api_version":"v1","kind":"Pod"}`
	podsOf     = `{"api_version":"v1","kind":"Pod","namespace":%q}`
	getService = `{"api_version":"v1","kind":"Service","name":"api-auth-service","namespace":"customer-1","disable_cache":%t}`
	service    = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"api-auth-service","namespace":"customer-1","managedFields":[{"manager":"kubectl"}]},"spec":{"clusterIP":"192.0.2.1","big":12345678901234567890}}`
)

func podNamed(namespace, name string) string { return fmt.Sprintf(pod, name, namespace, name) }

func TestGrants(t *testing.T) {
	const denied = "Policy has not been granted access to Kubernetes v1/%s resources. The violation has been reported."
	calls := map[string]string{
		"list_resources_by_namespace": `{"api_version":"v1","kind":%q,"namespace":"default"}`,
		"list_resources_all":          `{"api_version":"v1","kind":%q}`,
		"get_resource":                `{"api_version":"v1","kind":%q,"name":"x","namespace":"default","disable_cache":false}`,
	}
	for operation, payload := range calls {
		t.Run("3 no kinds/"+operation, func(t *testing.T) {
			newPolicy(t, nil).fails(operation, fmt.Sprintf(payload, "Pod"), fmt.Sprintf(denied, "Pod"))
		})
		t.Run("5 another kind/"+operation, func(t *testing.T) {
			p := newPolicy(t, nil, "v1 ConfigMap")
			p.fails(operation, fmt.Sprintf(payload, "Secret"), fmt.Sprintf(denied, "Secret"))
			p.fails(operation, fmt.Sprintf(payload, "ConfigMap"), failed+kubernetes.ErrNoCluster.Error())
		})
		t.Run("not decoded comes first/"+operation, func(t *testing.T) {
			newPolicy(t, nil).fails(operation, `{"api_version":"v1"}`, "decode ")
		})
	}
	t.Run("4 can_i needs none", func(t *testing.T) {
		newPolicy(t, nil).fails("can_i", `{"subject_access_review":{"user":"u","resource_attributes":{"verb":"get","resource":"pods"}},"disable_cache":false}`,
			failed+kubernetes.ErrNoCluster.Error())
	})
}

// A policy's conversation with the API server, in order.
func TestConversation(t *testing.T) {
	s := newAPIServer(t)
	s.puts(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"customer-1","labels":{"customer-id":"1"}}}`, service,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"db","namespace":"customer-1"}}`)
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Namespace", "apps/v1 Deployment", "v1 Service")
	answer := p.gets("can_i", `{"subject_access_review":{"user":"system:serviceaccount:customer-1:default","groups":null,"resource_attributes":{"namespace":"kube-system","verb":"create","group":"","resource":"pods"}},"disable_cache":false}`)
	if answer != `{"allowed":false}` {
		t.Errorf("can_i: %s", answer)
	}
	if list := p.gets("list_resources_all", `{"api_version":"v1","kind":"Namespace","label_selector":"customer-id=1"}`); names(t, list) != "customer-1" {
		t.Errorf("namespaces: %s", list)
	}
	if list := p.gets("list_resources_by_namespace", `{"api_version":"apps/v1","kind":"Deployment","namespace":"customer-1"}`); names(t, list) != "customer-1/db" ||
		!strings.HasPrefix(list, `{"apiVersion":"apps/v1","kind":"DeploymentList","metadata":{},"items":[`) {
		t.Errorf("deployments: %s", list)
	}
	p.gets("get_resource", fmt.Sprintf(getService, false))
	eventually(t, "both watches", func() bool { return s.watchers() == 2 })
	var sequence []string
	for _, request := range s.asked() {
		if !strings.Contains(request, "watch=true") { // whose place in the sequence is not fixed
			sequence = append(sequence, strings.ReplaceAll(request, "&limit=500", ""))
		}
	}
	if want := []string{
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
		"GET /api/v1", "GET /api/v1/namespaces?labelSelector=customer-id=1",
		"GET /apis/apps/v1", "GET /apis/apps/v1/namespaces/customer-1/deployments?limit=500",
		"GET /api/v1/namespaces/customer-1/services/api-auth-service",
	}; !slices.Equal(sequence, want) {
		t.Errorf("17: the API server saw\n%s\nexpected\n%s", strings.Join(sequence, "\n"), strings.Join(want, "\n"))
	}
	spec := s.reviews()[0]
	if spec.User != "system:serviceaccount:customer-1:default" || spec.ResourceAttributes.Verb != "create" || spec.ResourceAttributes.Namespace != "kube-system" {
		t.Errorf("17: reviewed %+v", spec)
	}
}

// What the host wants to know for policies that cannot ask themselves needs the kinds, and no
// capability.
func TestInventory(t *testing.T) {
	s := newAPIServer(t)
	s.puts(service)
	cluster := s.opens(kubernetes.Config{})
	p := newPolicy(t, cluster, "v1 Service", "apps/v1 Deployment", "v1 Eviction")
	for text, want := range map[string]string{"v1 Service": `"services"`, "apps/v1 Deployment": `"deployments"`, "v1 Eviction": ""} {
		if plural, err := p.asks(cluster.PluralNameRequest(kind(text))); plural != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", text, plural, err)
		}
	}
	if list, err := p.asks(cluster.InventoryRequest(kind("v1 Service"))); err != nil || names(t, list) != "customer-1/api-auth-service" {
		t.Errorf("inventory %s, %v", list, err)
	}
	var denied *hostcalls.ReadDeniedError
	if _, err := p.asks(cluster.InventoryRequest(kind("v1 Secret"))); !errors.As(err, &denied) {
		t.Errorf("a kind that was not granted: %v", err)
	}
	t.Run("recorded and replayed", func(t *testing.T) {
		var recorder exchanges.Recorder
		questions := []hostcalls.Request{
			cluster.InventoryRequest(kind("v1 Service")), cluster.PluralNameRequest(kind("v1 Service")), cluster.ChangedSinceRequest(kind("v1 Service"), 1500*time.Millisecond),
		}
		recording, answers := *p, []string{}
		recording.dispatcher = p.dispatcher.With(recorder.Through)
		for _, question := range questions {
			answer, err := recording.asks(question)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		session, err := recorder.Session()
		if err != nil {
			t.Fatal(err)
		}
		replayer, err := exchanges.Parse(session)
		if err != nil {
			t.Fatal(err)
		}
		replaying := *p
		replaying.dispatcher = p.dispatcher.With(replayer.Through)
		for i, question := range questions {
			if answer, err := replaying.asks(question); err != nil || answer != answers[i] {
				t.Errorf("replayed %s, %v, was %s", answer, err, answers[i])
			}
		}
	})
}

func TestOpen(t *testing.T) {
	t.Run("no cluster", func(t *testing.T) {
		t.Setenv("HOME", t.TempDir())
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		absent, broken := filepath.Join(t.TempDir(), "absent"), filepath.Join(t.TempDir(), "broken")
		if err := os.WriteFile(broken, []byte("clusters: 1"), 0o600); err != nil {
			t.Fatal(err)
		}
		for kubeconfig, want := range map[string]string{
			"":     "find a cluster: there is no kubeconfig file, and this is no pod",
			absent: fmt.Sprintf("find a cluster: KUBECONFIG names no file that is there: [%q]", absent),
			broken: "find a cluster: error loading config file " + strconv.Quote(broken),
		} {
			t.Setenv("KUBECONFIG", kubeconfig)
			if _, err := kubernetes.Open(kubernetes.Config{}); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("KUBECONFIG=%s: error is %v, want %s", kubeconfig, err, want)
			}
		}
	})
	t.Run("the wrong token", func(t *testing.T) {
		s := newAPIServer(t)
		s.kubeconfig("guessed")
		cluster, err := kubernetes.Open(kubernetes.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		newPolicy(t, cluster, "v1 Pod").fails("list_resources_all", allPods, failed+"Unauthorized")
	})
	t.Run("closed", func(t *testing.T) {
		s := newAPIServer(t)
		s.kubeconfig(token)
		cluster, err := kubernetes.Open(kubernetes.Config{})
		if err != nil {
			t.Fatal(err)
		}
		p := newPolicy(t, cluster, "v1 Pod")
		p.gets("list_resources_all", allPods)
		cluster.Close()
		p.fails("list_resources_all", allPods, failed+"the connection to the cluster is closed")
		eventually(t, "the watch's end", func() bool { return s.watchers() == 0 })
	})
	t.Run("nothing was opened", func(t *testing.T) {
		var none *kubernetes.Cluster
		none.Close()
		p := newPolicy(t, none, "v1 Pod")
		for _, request := range []hostcalls.Request{
			none.InventoryRequest(kind("v1 Pod")), none.PluralNameRequest(kind("v1 Pod")), none.ChangedSinceRequest(kind("v1 Pod"), 0),
		} {
			if _, err := p.asks(request); !errors.Is(err, kubernetes.ErrNoCluster) {
				t.Errorf("%s: %v", request.Question.Variant, err)
			}
		}
	})
}
