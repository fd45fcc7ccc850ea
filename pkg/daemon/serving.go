package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/server"
)

// servingFlags say who may read /metrics and the profiles, and how they are carried.
type servingFlags struct {
	metricsAddress string
	healthAddress  string
	authenticate   bool
	certFile       string
	keyFile        string
	profiling      bool
}

// add declares the flags.
func (f *servingFlags) add(set *pflag.FlagSet) {
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8080", `address of /metrics; "0" turns it off`)
	set.StringVar(&f.healthAddress, "health-probe-bind-address", ":8081", `address of probes and status page; "0": none`)
	explain(set, "health-probe-bind-address", "address of /livez, /readyz and /leaderz, which are open to anyone, and of the status page, which is too without --authenticate; plain HTTP; \"0\" turns them off")
	set.BoolVar(&f.authenticate, "authenticate", false, "ask the API server who may read metrics and status page; TLS")
	explain(set, "authenticate", "answer requests for /metrics and /debug/pprof/ only with a bearer token whose user the API server allows the verb get "+
		"on that path, and those for the status page with one for /statusz, from this machine alone (TokenReview, SubjectAccessReview; kooperd needs the ClusterRole system:auth-delegator). Else the answer is 401 or 403, 500 "+
		"without that ClusterRole, and 503 while the API server cannot be asked. A yes is kept for a minute, a no for ten seconds. Implies TLS for --metrics-bind-address, with "+
		"a self-signed certificate unless --tls-cert-file is given")
	set.StringVar(&f.certFile, "tls-cert-file", "", "PEM file with the certificate of --metrics-bind-address")
	explain(set, "tls-cert-file", "PEM file with the certificate, and those of its issuers, for --metrics-bind-address, which then speaks TLS 1.2 or later. "+
		"Changed files are used for new connections at most five seconds later; a pair that does not fit together is logged and the former one stays")
	set.StringVar(&f.keyFile, "tls-private-key-file", "", "PEM file with the private key of --tls-cert-file")
	set.BoolVar(&f.profiling, "profiling", false, "serve profiles under /debug/pprof/")
	explain(set, "profiling", "serve profiles for go tool pprof under /debug/pprof/ of --metrics-bind-address; needs --authenticate or a loopback address")
}

// serving is what the server needs beyond the flags.
type serving struct {
	access      server.Authorizer // nil: anyone may read
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// check returns what cannot be meant.
func (f *servingFlags) check(ctx context.Context) error {
	off := f.metricsAddress == server.Disabled
	if err := checkAddress(ctx, "metrics-bind-address", f.metricsAddress); err != nil {
		return err
	}
	if err := checkAddress(ctx, "health-probe-bind-address", f.healthAddress); err != nil {
		return err
	}
	switch {
	case sameAddress(f.metricsAddress, f.healthAddress):
		return fmt.Errorf("--metrics-bind-address is %s and --health-probe-bind-address is %s: two servers cannot listen on one address",
			f.metricsAddress, f.healthAddress)
	case (f.certFile == "") != (f.keyFile == ""):
		return errors.New("--tls-cert-file and --tls-private-key-file belong together: give both or none")
	case f.profiling && off:
		return errors.New("--profiling serves on --metrics-bind-address, which is turned off")
	case f.profiling && !f.authenticate && !isLoopback(f.metricsAddress):
		return fmt.Errorf("--profiling gives the memory of the process away, and anyone can connect to %s: "+
			"use --authenticate too, or a --metrics-bind-address like 127.0.0.1:8080", f.metricsAddress)
	default:
		return nil
	}
}

// newServing reads the certificate, or makes one, and prepares to ask the API server; it contacts
// nothing.
func newServing(f servingFlags, where clusterConfig, logger logr.Logger) (serving, error) {
	var s serving
	if f.authenticate {
		reviewer, err := server.NewDelegatingAuthorizer(kube.ClientConfig(where.rest))
		if err != nil {
			return s, err
		}
		s.access = reviewer
	}
	switch {
	case f.metricsAddress == server.Disabled:
	case f.certFile != "":
		files, err := server.LoadCertificateFiles(f.certFile, f.keyFile, logger)
		if err != nil {
			return s, err
		}
		s.certificate = files.Get
	case f.authenticate: // A token must not travel in the open.
		selfSigned, err := server.NewSelfSigned(f.metricsAddress)
		if err != nil {
			return s, err
		}
		logger.Info("serving metrics with a self-signed certificate: clients cannot verify it; use --tls-cert-file for one that they can")
		s.certificate = selfSigned.Get
	}
	return s, nil
}

// isLoopback reports whether only this machine can connect to an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
