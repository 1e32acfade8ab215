package kubernetes

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"policy-server/flight"
)

// Config configures a Cluster. The zero value is good.
type Config struct {
	UserAgent string        // who the API server's audit log shows as asking; client-go's own when empty
	Idle      time.Duration // how long a watch that nobody reads goes on; 0: DefaultIdle
	Memory    int           // bytes of objects that watches hold when another begins, or else the idlest end; 0: DefaultMemory
	Log       *zap.Logger   // nil: nothing is logged
}

// DefaultIdle is longer than the pauses inside of one audit scan, and shorter than what is usual
// between two: a scan lists each kind once, and in between the memory is free.
const DefaultIdle = 15 * time.Minute

// DefaultMemory is that of some hundred thousand pods. Policies choose what they list, and each
// selection holds objects of its own, be they the same as another's.
const DefaultMemory = 1 << 30

// What is remembered of single objects and of verdicts about access, and for how long: long enough
// for the requests of one rollout, too short to be surprised by.
const (
	remember       = 5 * time.Second
	objectBytes    = 32 << 20
	verdictBytes   = 1 << 20
	discoveredFor  = time.Hour
	discoveredMost = 10000 // kinds, roughly
)

// Cluster is a Kubernetes cluster as its API server shows it to one account. It is safe for
// concurrent use. The nil Cluster stands for having none: what it is asked fails.
type Cluster struct {
	client     rest.Interface
	log        *zap.Logger
	discovered *flight.Memo[string, kinds] // by root
	objects    *flight.Memo[string, []byte]
	verdicts   *flight.Memo[string, []byte]
	watches    *watches
}

// ErrNoCluster is why everything fails that is asked of a nil Cluster.
var ErrNoCluster = errors.New("this host is not connected to a Kubernetes cluster")

// Open finds out how the cluster is reached: from the files that KUBECONFIG lists, from
// ~/.kube/config, or from what a pod is given, as all clients of Kubernetes do. It reads
// configuration and does not contact the API server. The caller closes the Cluster.
func Open(cfg Config) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	var absent clientcmd.MissingConfigError
	rules.Warner = func(err error) { errors.As(err, &absent) } // if all files in KUBECONFIG are
	connection, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	switch {
	case err != nil && len(absent.Missing) > 0:
		return nil, fmt.Errorf("find a cluster: KUBECONFIG names no file that is there: %q", absent.Missing)
	case clientcmd.IsEmptyConfig(err): // which client-go says with an advice that is long out of date
		return nil, errors.New("find a cluster: there is no kubeconfig file, and this is no pod")
	case err != nil:
		return nil, fmt.Errorf("find a cluster: %w", err)
	}
	connection.UserAgent = cfg.UserAgent
	connection.QPS = -1 // evaluations in flight are bounded, and the API server has its own ideas of fairness
	connection.WarningHandler = rest.NoWarnings{}
	connection.Wrap(boundAnswers)
	connection.ContentConfig = rest.ContentConfig{NegotiatedSerializer: statuses(), ContentType: runtime.ContentTypeJSON}
	client, err := rest.UnversionedRESTClientFor(connection)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Idle == 0 {
		cfg.Idle = DefaultIdle
	}
	if cfg.Memory == 0 {
		cfg.Memory = DefaultMemory
	}
	length := func(key string, text []byte) int { return len(key) + len(text) }
	return &Cluster{
		client: client,
		log:    cfg.Log,
		discovered: flight.NewMemo(flight.MemoConfig[string, kinds]{
			Lifetime: discoveredFor, Limit: discoveredMost, Cost: func(root string, known kinds) int { return len(root) + len(known) + 1 },
		}),
		objects:  flight.NewMemo(flight.MemoConfig[string, []byte]{Lifetime: remember, Limit: objectBytes, Cost: length}),
		verdicts: flight.NewMemo(flight.MemoConfig[string, []byte]{Lifetime: remember, Limit: verdictBytes, Cost: length}),
		watches:  newWatches(cfg.Idle, cfg.Memory),
	}, nil
}

// statuses lets the client read an API server's errors, the only documents it decodes.
func statuses() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

// Close ends all watches and waits for them. Nothing may be asked afterwards.
func (c *Cluster) Close() {
	if c != nil {
		c.watches.close()
	}
}
