package main

import (
	"fmt"
	"os"
)

// issuer is the iss claim of service account tokens, and the audience they are valid for by
// default.
const issuer = "https://kubernetes.default.svc.cluster.local"

// auditPolicy records one event per request, when it has been answered. Bodies of writes are in it,
// so that a test can see who wrote what, except where they are credentials.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  resources:
  - {group: "", resources: [secrets, serviceaccounts/token]}
  - {group: authentication.k8s.io, resources: [tokenreviews]}
- level: Request
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
`

// apiserverFlags returns the command line of kube-apiserver.
func apiserverFlags(l layout, p ports, opts options) []string {
	flags := []string{
		"bind-address=127.0.0.1",
		// Without it the API server asks the routing table for its address, and there may be no
		// route.
		"advertise-address=127.0.0.1",
		fmt.Sprintf("secure-port=%d", p.APIServer),
		"tls-cert-file=" + l.certFile(servingCert),
		"tls-private-key-file=" + l.keyFile(servingCert),
		"client-ca-file=" + l.certFile(caCert),
		"etcd-servers=" + etcdURL(p.Etcd),
		"etcd-cafile=" + l.certFile(caCert),
		"etcd-certfile=" + l.certFile(etcdClientCert),
		"etcd-keyfile=" + l.keyFile(etcdClientCert),
		"authorization-mode=RBAC",
		"allow-privileged=true",
		"service-account-issuer=" + issuer,
		"service-account-key-file=" + l.keyFile(serviceAccountKey),
		"service-account-signing-key-file=" + l.keyFile(serviceAccountKey),
		"service-cluster-ip-range=10.0.0.0/24",
		// A loopback address is not allowed as an endpoint of the Service "kubernetes".
		"endpoint-reconciler-type=none",
	}
	if opts.auditLog != "" {
		flags = append(flags,
			"audit-policy-file="+l.auditPolicy(),
			"audit-log-path="+opts.auditLog,
			"audit-log-maxsize=0", // one file that only grows
		)
	}
	return mergeArgs(flags, opts.apiserverArgs)
}

// prepareAudit writes the audit policy and finds out now whether the log can be written.
func prepareAudit(l layout, auditLog string) error {
	if auditLog == "" {
		return nil
	}
	file, err := os.OpenFile(auditLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	return writeFile(l.auditPolicy(), []byte(auditPolicy))
}
