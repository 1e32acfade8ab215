package real

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/client"
	"github.com/google/trillian/extension"
	"github.com/google/trillian/log"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/server/interceptor"
	"github.com/google/trillian/storage/memory"
	"github.com/google/trillian/util/clock"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

// merkleLogs is Trillian in this process, its trees in memory: what Rekor v1 and the certificate
// log store into.
type merkleLogs struct {
	address string
	stop    func()
}

func startMerkleLogs(t *testing.T) *merkleLogs {
	t.Helper()
	trees := memory.NewTreeStorage()
	registry := extension.Registry{
		AdminStorage: memory.NewAdminStorage(trees),
		LogStorage:   memory.NewLogStorage(trees, nil),
		QuotaManager: quota.Noop(),
	}
	grpcServer := grpc.NewServer(grpc.UnaryInterceptor(interceptor.ErrorWrapper))
	trillian.RegisterTrillianAdminServer(grpcServer, admin.New(registry, nil))
	trillian.RegisterTrillianLogServer(grpcServer, server.NewTrillianLogRPCServer(registry, clock.System))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = grpcServer.Serve(listener) })
	running.Go(func() {
		log.NewOperationManager(log.OperationInfo{
			Registry: registry, BatchSize: 50, NumWorkers: 2, RunInterval: 100 * time.Millisecond, TimeSource: clock.System,
		}, log.NewSequencerManager(registry, 0)).OperationLoop(ctx)
	})
	stop := sync.OnceFunc(func() {
		cancel()
		grpcServer.Stop()
		running.Wait()
	})
	t.Cleanup(stop)
	return &merkleLogs{address: listener.Addr().String(), stop: stop}
}

// tree makes a log and returns its identifier.
func (m *merkleLogs) tree(t *testing.T) int64 {
	t.Helper()
	connection, err := grpc.NewClient(m.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	tree, err := client.CreateAndInitTree(t.Context(), &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState:       trillian.TreeState_ACTIVE,
		TreeType:        trillian.TreeType_LOG,
		MaxRootDuration: durationpb.New(time.Hour),
	}}, trillian.NewTrillianAdminClient(connection), trillian.NewTrillianLogClient(connection))
	if err != nil {
		t.Fatal(err)
	}
	return tree.GetTreeId()
}
