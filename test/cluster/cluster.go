package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// defaultTimeout is long enough for a start on a machine that compiles something at the same time.
const defaultTimeout = 2 * time.Minute

// requestTimeout limits what the package itself asks of the API server outside the time of a test,
// and waits for: long enough for a machine that stands still for some seconds.
const requestTimeout = time.Minute

// Options says how to run a cluster. The zero value is a cluster without audit log whose data
// survives the death of its processes.
type Options struct {
	// Audit switches the audit log on, which Audit and AuditSince read.
	Audit bool
	// Fsync makes etcd flush every write to the disk; without it writes are faster.
	Fsync bool
	// APIServerArgs and ControllerManagerArgs are flags for the components as "key=value", each
	// replacing devcluster's own setting of it.
	APIServerArgs, ControllerManagerArgs []string
	// EtcdQuotaBytes is the size of the database at which writes are refused; 0 means etcd's
	// default.
	EtcdQuotaBytes int64
	// StartTimeout limits a start; 0 means two minutes.
	StartTimeout time.Duration
}

// testEnv is for the clusters of tests: their heaps are small, so collecting garbage as often as
// usual takes a large part of their time. Programs that measure have the usual.
var testEnv = []string{"GOGC=400"}

// Cluster is one devcluster with its own data and credentials. Its methods may be called
// concurrently, except the ones that start, stop or break it. They are for the goroutine of the
// test they are given.
type Cluster struct {
	opts   Options
	binary string
	dir    string   // holds everything of this cluster
	env    []string // what its environment has besides that of this process

	mu     sync.Mutex
	server *server      // nil while not running
	config *rest.Config // of the admin
	client kubernetes.Interface
	dyn    dynamic.Interface
	frozen map[Component]bool
	stood  []Standstill
}

// Main runs the tests of a package with one cluster for all of them, or with a few, which it stores
// in *shared, and returns the exit status for os.Exit. The logs of the clusters are kept if a test
// fails.
func Main(m *testing.M, opts Options, shared ...**Cluster) int {
	all, err := startAll(context.Background(), opts, len(shared)) //nolint:forbidigo // TestMain has no context
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		return 1
	}
	for i := range shared {
		*shared[i] = all[i]
	}
	code := m.Run()
	for _, c := range all {
		err = errors.Join(err, c.stop(), c.remove(code != 0))
	}
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		code = max(code, 1)
	}
	return code
}

// startAll starts n clusters side by side, as they mostly wait. If one does not start, none is
// left.
func startAll(ctx context.Context, opts Options, n int) ([]*Cluster, error) {
	all, errs := make([]*Cluster, n), make([]error, n)
	var starting sync.WaitGroup
	for i := range n {
		if all[i], errs[i] = newCluster(opts); errs[i] != nil {
			break
		}
		all[i].env = testEnv
		starting.Go(func() { errs[i] = all[i].start(ctx) })
	}
	starting.Wait()
	err := errors.Join(errs...)
	for _, c := range all {
		if err != nil && c != nil {
			err = errors.Join(err, c.stop(), c.remove(true))
		}
	}
	return all, err
}

// StartServer returns a cluster of the test's own, ready to use, which is stopped when the test
// ends.
func StartServer(t testing.TB, opts Options) *Cluster {
	t.Helper()
	c, err := newCluster(opts)
	if err != nil {
		t.Fatalf("preparing a cluster: %v", err)
	}
	c.env = testEnv
	t.Cleanup(func() {
		if err := errors.Join(c.stop(), c.remove(t.Failed())); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	if err := c.start(t.Context()); err != nil {
		t.Fatalf("starting a cluster: %v", err)
	}
	return c
}

// newCluster makes the directory of a cluster that has not been started.
func newCluster(opts Options) (*Cluster, error) {
	binary, err := findBinary()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kooperd-cluster-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the cluster: %w", err)
	}
	if opts.StartTimeout == 0 {
		opts.StartTimeout = defaultTimeout
	}
	return &Cluster{opts: opts, binary: binary, dir: dir, frozen: map[Component]bool{}}, nil
}

// remove deletes what the cluster has written, unless it is wanted to find out what went wrong.
func (c *Cluster) remove(keep bool) error {
	if keep {
		_, _ = fmt.Fprintf(os.Stderr, "cluster: data and logs are kept in %s\n", c.dataDir())
		return nil
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("removing the cluster's directory: %w", err)
	}
	return nil
}

// dataDir is the directory that devcluster works in.
func (c *Cluster) dataDir() string { return filepath.Join(c.dir, "devcluster") }

// auditLog is the file of audit events.
func (c *Cluster) auditLog() string { return filepath.Join(c.dir, "audit.log") }

// Dir returns the directory with the data, certificates and logs of the cluster.
func (c *Cluster) Dir() string { return c.dataDir() }

// AdminKubeconfig returns the path of a kubeconfig with unlimited rights. Priority and fairness do
// not apply to it; a test of what a controller may do, or of how it is slowed down, uses
// ServiceAccount.
func (c *Cluster) AdminKubeconfig() string { return filepath.Join(c.dataDir(), "kubeconfig") }

// AdminConfig returns a client configuration with unlimited rights and no client-side rate limit.
// The caller owns it.
func (c *Cluster) AdminConfig() *rest.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return rest.CopyConfig(c.config)
}

// Client returns a typed client with unlimited rights.
func (c *Cluster) Client() kubernetes.Interface {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client
}

// Dynamic returns a client for objects of any kind with unlimited rights.
func (c *Cluster) Dynamic() dynamic.Interface {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dyn
}

// connect makes the clients after the first start, and checks after another one that they still
// fit.
func (c *Cluster) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	if err != nil {
		return fmt.Errorf("reading the admin's kubeconfig: %w", err)
	}
	config.QPS = -1
	config.UserAgent = "kooperd-test-cluster"
	if c.config != nil {
		if c.config.Host != config.Host {
			return fmt.Errorf("the API server has moved from %s to %s: the port was taken meanwhile", c.config.Host, config.Host)
		}
		return nil
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a typed client: %w", err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a dynamic client: %w", err)
	}
	c.config, c.client, c.dyn = config, client, dyn
	return nil
}
