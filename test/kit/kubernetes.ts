import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

/** As much of a manifest as the tests look at. */
export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly timeoutSeconds?: number;
  readonly failureThreshold: number;
}
export interface Container {
  readonly image: string;
  readonly args?: readonly string[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly env?: readonly { readonly name: string; readonly valueFrom: unknown }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly resources: Readonly<Record<'requests' | 'limits', { readonly cpu: string; readonly memory: string }>>;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>>; readonly annotations: Readonly<Record<string, string>> };
  readonly spec: {
    readonly terminationGracePeriodSeconds: number;
    readonly enableServiceLinks: boolean;
    readonly securityContext: Readonly<Record<string, unknown>>;
    readonly containers: readonly Container[];
    readonly volumes: readonly { readonly name: string; readonly persistentVolumeClaim?: { readonly claimName: string } }[];
  };
}
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly data: Readonly<Record<string, string>>;
  readonly spec: {
    readonly replicas: number;
    readonly minReplicas: number;
    readonly maxReplicas: number;
    readonly accessModes: readonly string[];
    readonly resources: { readonly requests: { readonly storage: string } };
    readonly template: PodTemplate;
    readonly selector: unknown;
    readonly podSelector: unknown;
    readonly scaleTargetRef: { readonly kind: string; readonly name: string };
    readonly ports: readonly { readonly targetPort: string }[];
    readonly ingress: readonly { readonly ports: readonly { readonly port: string }[]; readonly from?: unknown }[];
    readonly egress: readonly { readonly ports: readonly { readonly port: number }[] }[];
  };
}

/** The objects of deploy/kubernetes/capture.yaml, by kind. @throws Error when one is no YAML, or a kind is there twice. */
export function captureManifests(): ReadonlyMap<string, Manifest> {
  const documents = parseAllDocuments(readFileSync(join(import.meta.dirname, '../../deploy/kubernetes/capture.yaml'), 'utf8'));
  const byKind = new Map<string, Manifest>();
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const manifest = document.toJS() as Manifest;
    if (byKind.has(manifest.kind)) throw new Error(`two of kind ${manifest.kind}`);
    byKind.set(manifest.kind, manifest);
  }
  return byKind;
}
