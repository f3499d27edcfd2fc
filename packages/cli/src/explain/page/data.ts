/** What a page shows: everything that the script needs, as JSON. */
export interface PageData {
  readonly title: string;
  readonly subtitle: string;
  readonly targets: readonly PageTarget[];
  /** Sentences below the targets: the whole model, and what else was considered. */
  readonly notes: readonly string[];
  readonly whatIf: readonly PageWhatIf[];
  readonly nodes: readonly PageNode[];
  readonly edges: readonly PageEdge[];
  readonly width: number;
  readonly height: number;
  readonly nodeWidth: number;
  readonly nodeHeight: number;
}

export interface PageTarget {
  readonly name: string;
  readonly host: boolean;
  readonly operators: number;
  readonly summary: string;
}

export interface PageWhatIf {
  readonly title: string;
  readonly gain: string;
  /** Indices of the operators concerned. */
  readonly nodes: readonly number[];
}

export interface PageNode {
  readonly kind: 'operator' | 'input' | 'output';
  readonly x: number;
  readonly y: number;
  readonly title: string;
  /** Where it is in the model, or its type. */
  readonly subtitle: string;
  /** Index of its target; null for inputs and outputs. */
  readonly target: number | null;
  readonly region: string | null;
  /** Its share of the estimated time, or of the work where no time is known: 0 to 1. */
  readonly weight: number;
  /** Name and value, in the order that they are shown in. */
  readonly details: readonly (readonly [string, string])[];
  readonly rejections: readonly PageRejection[];
}

export interface PageRejection {
  readonly who: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

export interface PageEdge {
  readonly from: number;
  readonly to: number;
  readonly kind: 'curve' | 'lane';
  readonly points: readonly number[];
  /** The values that it carries. */
  readonly label: string;
  /** Whether it crosses from one target to another. */
  readonly transfer: boolean;
}
