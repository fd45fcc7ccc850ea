package main

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiserverURL is where the API server is reached.
func apiserverURL(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }

// writeKubeconfig writes a kubeconfig, complete in itself, for the client certificate called name.
func writeKubeconfig(l layout, path, name string, port int) error {
	files := map[string][]byte{l.certFile(caCert): nil, l.certFile(name): nil, l.keyFile(name): nil}
	for file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		files[file] = data
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["devcluster"] = &clientcmdapi.Cluster{
		Server:                   apiserverURL(port),
		CertificateAuthorityData: files[l.certFile(caCert)],
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: files[l.certFile(name)],
		ClientKeyData:         files[l.keyFile(name)],
	}
	config.Contexts["devcluster"] = &clientcmdapi.Context{Cluster: "devcluster", AuthInfo: name}
	config.CurrentContext = "devcluster"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return writeFile(path, data)
}

// adminConfig is the client configuration by which devcluster itself looks at the cluster.
func adminConfig(l layout, port int) *rest.Config {
	return &rest.Config{
		Host:      apiserverURL(port),
		UserAgent: "devcluster",
		QPS:       -1,
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   l.certFile(caCert),
			CertFile: l.certFile(adminCert),
			KeyFile:  l.keyFile(adminCert),
		},
	}
}
