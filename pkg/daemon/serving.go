package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

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

// Help of the flags, which the reference page shows too.
const (
	metricsAddressHelp = `address of /metrics; "0" turns it off`
	healthAddressHelp  = `address of /livez, /readyz and /leaderz, which are open to everybody and plain HTTP; "0" turns them off`
	authenticateHelp   = "answer requests for /metrics and /debug/pprof/ only with a bearer token whose user the API server allows the verb get " +
		"on that path (TokenReview, SubjectAccessReview; kooperd needs the ClusterRole system:auth-delegator): else 401 or 403, 500 without that " +
		"ClusterRole, and 503 while the API server cannot be asked. A yes is kept for a minute, a no for ten seconds. Implies TLS, with a self-signed certificate unless --tls-cert-file is given"
	certFileHelp = "PEM file with the certificate, and those of its issuers, for --metrics-bind-address, which then speaks TLS 1.2 or later. " +
		"Changed files are used for new connections at most five seconds later; a pair that does not fit together is logged and the former one stays"
	keyFileHelp   = "PEM file with the private key of --tls-cert-file"
	profilingHelp = "serve profiles for go tool pprof under /debug/pprof/ of --metrics-bind-address; needs --authenticate or a loopback address"
	// shutdownDelayHelp is that of a flag in command.go.
	shutdownDelayHelp = "how long a replica that leads goes on leading and working after the first SIGTERM or SIGINT, while /readyz says 503. A second signal, or " +
		"the loss of the lease, ends the delay. Replicas that do not lead, and all without leader election, stop at once. " +
		"terminationGracePeriodSeconds has to be longer than this and --shutdown-timeout together, by ten seconds"
)

func addServingFlags(cmd *cobra.Command, flags *servingFlags) {
	f := cmd.Flags()
	f.StringVar(&flags.metricsAddress, "metrics-bind-address", ":8080", metricsAddressHelp)
	f.StringVar(&flags.healthAddress, "health-probe-bind-address", ":8081", healthAddressHelp)
	f.BoolVar(&flags.authenticate, "authenticate", false, authenticateHelp)
	f.StringVar(&flags.certFile, "tls-cert-file", "", certFileHelp)
	f.StringVar(&flags.keyFile, "tls-private-key-file", "", keyFileHelp)
	f.BoolVar(&flags.profiling, "profiling", false, profilingHelp)
}

// serving is what the server needs beyond the flags.
type serving struct {
	access      server.Authorizer // nil: everybody may
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// check tells what cannot be meant.
func (f servingFlags) check() error {
	off := f.metricsAddress == "" || f.metricsAddress == server.Disabled
	switch {
	case (f.certFile == "") != (f.keyFile == ""):
		return errors.New("--tls-cert-file and --tls-private-key-file belong together: give both or none")
	case f.profiling && off:
		return errors.New("--profiling serves on --metrics-bind-address, which is turned off")
	case f.profiling && !f.authenticate && !isLoopback(f.metricsAddress):
		return fmt.Errorf("--profiling gives the memory of the process away, and everybody can connect to %s: "+
			"use --authenticate too, or a --metrics-bind-address like 127.0.0.1:8080", f.metricsAddress)
	default:
		return nil
	}
}

// newServing reads the certificate, or makes one, and prepares to ask the API server; it contacts nothing.
func newServing(f servingFlags, where clusterConfig, logger logr.Logger) (serving, error) {
	var s serving
	if f.metricsAddress == "" || f.metricsAddress == server.Disabled {
		return s, nil
	}
	switch {
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
	if f.authenticate {
		reviewer, err := server.NewDelegatingAuthorizer(kube.ClientConfig(where.rest))
		if err != nil {
			return s, err
		}
		s.access = reviewer
	}
	return s, nil
}

// isLoopback tells whether only this machine can connect to an address.
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
