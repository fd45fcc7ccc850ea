package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/portforward"
)

const (
	// defaultHealthPort is that of --health-probe-bind-address.
	defaultHealthPort = 8081
	// defaultLeaseName is that of a config that names none.
	defaultLeaseName = "kooperd"
)

// replicaFlags say which process of kooperd is asked: the leader, by its lease, unless a pod or an
// address is named.
type replicaFlags struct {
	address      string
	pod          string
	port         int
	lease        string
	namespace    string
	authenticate bool
	cluster      clusterFlags
}

// replicaLong is what the commands that ask a replica say of it.
const replicaLong = `It asks the replica that leads. The lease names its pod, to which a port is forwarded through the API server: this takes the
rights to get the lease and to create pods/portforward (and get, for a WebSocket). With the right to get the pod, its port is
found, too; without it that is --port. --pod names another pod, and --address a process outside the cluster, or one that is
reached in another way.

A kooperd with --authenticate asks for a bearer token. With --authenticate here, that of the kubeconfig's user is sent then, and
only then: to a pod through the forwarded port, and to an --address over TLS or on this machine. The process that is asked sees
the token. Its user needs the right to get /statusz, which is no resource.`

// add adds the flags.
func (f *replicaFlags) add(set *pflag.FlagSet) {
	set.StringVar(&f.address, "address", "", "HOST:PORT of the --health-probe-bind-address of a process, or its URL with https://, instead of a pod")
	set.StringVar(&f.pod, "pod", "", "name of the pod to ask, or NAMESPACE/NAME; default: that of the leader")
	set.IntVar(&f.port, "port", 0, "port of the pod; default: its container's port that is named health, or 8081")
	set.StringVar(&f.lease, "lease", defaultLeaseName, "name of the lease")
	set.StringVarP(&f.namespace, "namespace", "n", "", "namespace of the lease and the pod; default: that of the kubeconfig's context")
	set.BoolVar(&f.authenticate, "authenticate", false, "send the bearer token of the kubeconfig's user if the replica asks for one")
	f.cluster.add(set, "")
}

// check looks at the flags alone.
func (f *replicaFlags) check(set *pflag.FlagSet) error {
	if f.address != "" {
		for _, name := range []string{"pod", "port", "lease", "namespace"} {
			if set.Changed(name) {
				return fmt.Errorf("--%s is for a pod, and --address names a process: use one of them", name)
			}
		}
		if _, err := parseReplicaAddress(f.address); err != nil {
			return err
		}
	}
	if f.pod != "" && set.Changed("lease") {
		return errors.New("--lease finds the pod that --pod names: use one of them")
	}
	if f.port < 0 || f.port > 65535 || f.port == 0 && set.Changed("port") {
		return fmt.Errorf("--port is %d, want a number from 1 to 65535", f.port)
	}
	if _, err := f.namedPod(""); err != nil {
		return err
	}
	return f.cluster.check(set, true)
}

// namedPod is the pod of the flags; empty for none.
func (f *replicaFlags) namedPod(namespace string) (types.NamespacedName, error) {
	parts := strings.Split(f.pod, "/")
	named := types.NamespacedName{Namespace: namespace, Name: parts[len(parts)-1]}
	if len(parts) == 2 {
		named.Namespace = parts[0]
	}
	if len(parts) > 2 || f.pod != "" && (named.Name == "" || len(parts) == 2 && named.Namespace == "") {
		return named, fmt.Errorf("--pod is %q, want NAME or NAMESPACE/NAME", f.pod)
	}
	return named, nil
}

// parseReplicaAddress reads HOST:PORT, or a URL of http or https.
func parseReplicaAddress(text string) (*url.URL, error) {
	base := &url.URL{Scheme: "http", Host: text}
	if strings.Contains(text, "://") {
		parsed, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("--address is %q: %w", text, err)
		}
		base = parsed
	}
	host, port, err := net.SplitHostPort(base.Host)
	number, notNumber := strconv.ParseUint(port, 10, 16)
	if err != nil || notNumber != nil || number == 0 || strings.ContainsAny(host, "/ @") || base.User != nil ||
		base.Scheme != "http" && base.Scheme != "https" || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
		return nil, fmt.Errorf("--address is %q, want HOST:PORT, such as 127.0.0.1:%d, or https://HOST:PORT", text, defaultHealthPort)
	}
	if host == "" {
		base.Host = net.JoinHostPort("127.0.0.1", port)
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host}, nil
}

// replica is one process of kooperd that can be asked.
type replica struct {
	base *url.URL
	// name is what people call it.
	name   string
	client *http.Client
	// secure says that nobody else can read what is sent.
	secure bool
	// token returns the bearer token of the kubeconfig's user; nil where none is to be sent.
	token func(ctx context.Context) (string, error)
	// sent is the token, once it was asked for.
	sent string
	// holder is the identity of the leader that was looked for; empty if it was not.
	holder string
	close  func()
}

// replicaFinder opens replicas, again where a leader has changed.
type replicaFinder struct {
	flags replicaFlags
	where clusterConfig // empty with an address
	note  func(text string)
}

// newReplicaFinder reads the kubeconfig where one is needed. It contacts nothing.
func newReplicaFinder(flags replicaFlags, note func(text string)) (*replicaFinder, error) {
	f := &replicaFinder{flags: flags, note: note}
	if flags.address != "" && !flags.authenticate {
		return f, nil
	}
	var err error
	f.where, err = loadClusterConfig(flags.cluster.kubeconfig, flags.cluster.context)
	return f, err
}

// open returns the replica to ask. The caller closes it.
func (f *replicaFinder) open(ctx context.Context) (*replica, error) {
	if f.flags.address != "" {
		return f.atAddress()
	}
	found, err := f.findPod(ctx)
	if err != nil {
		return nil, err
	}
	pod, err := portforward.Dial(ctx, f.where.rest, found.pod.Namespace, found.pod.Name)
	if err != nil {
		return nil, explainForward(err, found.pod)
	}
	transport := &http.Transport{DialContext: pod.Dialer(found.port), DisableCompression: true}
	return &replica{
		base: &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(found.port))},
		name: "pod " + found.pod.String(), client: &http.Client{Transport: transport, CheckRedirect: noRedirect},
		secure: true, token: f.tokenSource(), holder: found.holder,
		close: func() {
			transport.CloseIdleConnections()
			_ = pod.Close()
		},
	}, nil
}

// atAddress is the process at the address of the flags.
func (f *replicaFinder) atAddress() (*replica, error) {
	base, err := parseReplicaAddress(f.flags.address)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{}
	return &replica{
		base: base, name: base.Host, client: &http.Client{Transport: transport, CheckRedirect: noRedirect},
		secure: base.Scheme == "https" || isLoopback(base.Host), token: f.tokenSource(), close: transport.CloseIdleConnections,
	}, nil
}

// tokenSource is token of a replica.
func (f *replicaFinder) tokenSource() func(context.Context) (string, error) {
	if !f.flags.authenticate {
		return nil
	}
	return f.token
}

// noRedirect keeps a token from going elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// within asks something, and returns at the latest after --timeout. As with ask, what it gets is
// good only if there is no error.
func (f *replicaFinder) within(ctx context.Context, stderr io.Writer, question func(context.Context) error) error {
	timeout := f.flags.cluster.timeout
	if f.flags.address == "" {
		return ask(ctx, stderr, f.where, timeout, question)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- question(limited) }()
	var err error
	select {
	case err = <-done:
	case <-limited.Done(): // A credential plugin obeys no context.
		err = limited.Err()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("waiting for %s: %w", f.flags.address, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s%s", f.flags.address, timeout, pluginMayHang(f.where))
	}
	return err
}
