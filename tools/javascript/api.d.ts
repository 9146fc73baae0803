// Made by tools/api_types.py from the classes of the server: what the API takes and answers, as JSON.
// A float that is not finite is null in JSON; the types leave that out, since no answer of a sound model holds one.

declare namespace Api {
  interface Verbs {
    card: { takes: CardRequest; answers: Card };
    tokens: { takes: TokensRequest; answers: Tokens };
    embed: { takes: EmbedRequest; answers: Embedding };
    context: { takes: ContextRequest; answers: Context };
    lens: { takes: LensRequest; answers: Lens };
    network: { takes: NetworkRequest; answers: NetworkInside };
    ablate: { takes: AblateRequest; answers: Ablation };
    patch: { takes: PatchRequest; answers: Patching };
    steer: { takes: SteerRequest; answers: Steered };
    next: { takes: NextRequest; answers: Prediction };
    score: { takes: ScoreRequest; answers: Score };
    generate: { takes: GenerateRequest; answers: Generation };
    memory: { takes: MemoryRequest; answers: Memory };
    assistant: { takes: AssistantRequest; answers: Answers };
    chat: { takes: ChatRequest; answers: Conversation };
  }

  interface CardRequest {
    known?: boolean;
  }

  interface TokensRequest {
    text: string;
    compare?: string | string[];
    specials?: "text" | "strict" | "allow";
  }

  interface EmbedRequest {
    words?: string[];
    dimensions?: number;
    near?: number;
    space?: string;
  }

  interface ContextRequest {
    word: string;
    sentences: string[];
    layer?: number | null;
  }

  interface LensRequest {
    prompt: string;
  }

  interface NetworkRequest {
    prompt: string;
    k?: number;
    layers?: number[] | null;
    positions?: number[] | null;
    attention?: string | null;
    reader?: number | null;
    target?: string | null;
  }

  interface AblateRequest {
    prompt: string;
    heads?: string[];
    mlps?: number[];
    layers?: number[];
    by?: "zero" | "mean";
    k?: number;
    max_new_tokens?: number;
  }

  interface PatchRequest {
    prompt: string;
    source: string;
    part?: "residual" | "attention" | "mlp" | "head";
    layer?: number | null;
    head?: number | null;
    position?: number | null;
    every_position?: boolean;
    between?: string[];
    k?: number;
    max_new_tokens?: number;
  }

  interface SteerRequest {
    prompt: string;
    toward: string;
    away: string;
    layer?: number | null;
    strength?: number;
    k?: number;
    max_new_tokens?: number;
  }

  interface NextRequest {
    prompt: string;
    k?: number;
    temperature?: number;
    top_k?: number;
    top_p?: number;
    min_p?: number;
    rank?: string | string[];
    beside?: number[];
    ids?: number[] | null;
  }

  interface ScoreRequest {
    text: string;
  }

  interface GenerateRequest {
    prompt: string;
    max_new_tokens?: number;
    temperature?: number;
    top_k?: number;
    top_p?: number;
    min_p?: number;
    seed?: number | null;
    stop?: string[];
    ids?: number[] | null;
    first_draw?: number;
    alternatives?: number;
    after_stop?: number;
  }

  interface MemoryRequest {
    tokens?: string | number[];
    mode?: "last" | "all";
    simulate?: boolean;
    known?: string;
    gpu?: string | string[];
    precision?: string | string[];
    kv_precision?: string;
    users_at?: string | number[];
  }

  interface AssistantRequest {
    question: string;
    template?: string;
    chat_template?: string;
    system?: string;
    max_new_tokens?: number;
    temperature?: number;
    top_k?: number;
    top_p?: number;
    min_p?: number;
    seed?: number | null;
    stop?: string[];
    after_stop?: number;
  }

  interface ChatRequest {
    messages: string[];
    kind?: string;
    template?: string;
    chat_template?: string;
    system?: string;
    conversation?: Record<string, unknown> | null;
    max_new_tokens?: number;
    temperature?: number;
    top_k?: number;
    top_p?: number;
    min_p?: number;
    seed?: number | null;
    stop?: string[];
    price_in?: number;
    price_out?: number;
  }

  interface Figure {
    data: Lab.Trace[];
    layout: Lab.Layout;
  }

  type Block = Heading | Text | Facts | Strip | Bars | Table | Scatter | Curves | Chat | Columns;

  interface Ablation {
    prompt: string;
    before: Side;
    after: Side;
    changed: number;
    moved: Shift[];
    by: "zero" | "mean";
    off: PartOff[];
  }

  interface Alternative {
    id: number;
    text: string;
    label: string;
    probability: number;
  }

  interface Angles {
    layer: number;
    cosine: ((number | null)[])[];
    to_static: (number | null)[];
    others: number | null;
  }

  interface Answer {
    kind: string;
    prompt: string;
    prompt_tokens: number;
    text: string;
    stop_reason: string;
    after_stop: string;
    generated_tokens: number;
    seconds: number;
    stop: string[];
    indented: string[];
    at_marker: boolean;
    next_turn: string;
    marker: string;
    tokens: Token[];
  }

  interface Answered {
    column: string;
    text: string;
    answer: Answer;
  }

  interface Answers {
    question: string;
    model: string;
    answers: Answer[];
    temperature: number;
    seed: number;
    missing: string[];
  }

  interface Asked {
    rank: number;
    id: number;
    text: string;
    label: string;
    logit: number;
    probability: number;
    asked: string;
    tokens: number;
  }

  interface Bar {
    label: string;
    value: number;
    text: string;
    marked: boolean;
  }

  interface Bars {
    block: "bars";
    rows: Bar[];
    title: string;
    caption: string;
    x_label: string;
  }

  interface BlockParameters {
    block: string;
    parameters: number;
  }

  interface Cache {
    dtype: string;
    bytes_per_token: number;
    attention: string;
    layers: number;
    windows: number;
    window: number | null;
    other_layers: number;
    state_bytes: number | null;
  }

  interface CachedModel {
    name: string;
    commit: string | null;
    bytes: number;
    unfinished_bytes: number;
    architecture: string | null;
    engine: string | null;
    state: string;
  }

  interface Candidate {
    rank: number;
    id: number;
    text: string;
    label: string;
    logit: number;
    probability: number;
  }

  interface Card {
    name: string;
    architecture: string;
    kind: string;
    kind_reason: string;
    licence: string | null;
    parameters: Parameters;
    file_bytes: Record<string, number>;
    dtype: string | null;
    vocabulary_size: number;
    vocabulary_tokens: number | null;
    vocabulary_base: number | null;
    context_length: number | null;
    layers: number;
    width: number;
    heads: number;
    kv_heads: number;
    head_dim: number;
    latent_width: number | null;
    mlp_width: number;
    tied: boolean;
    experts: number;
    active_experts: number;
    structure: NetworkPart[];
    memory: Fit;
    source: string | null;
    known: KnownModel[];
    shared_experts: number;
    dense_layers: number;
    engine: string | null;
    obstacle: string | null;
    published: Published | null;
    loaded: Loaded | null;
    decode_plan: DecodePlan | null;
    unused_layers: number;
  }

  interface CardsFit {
    gpu_bytes: number;
    gpus: number;
    precision: string;
    weights_bytes: number;
    fits: boolean;
    max_context: number;
    concurrent: Users[];
    trained: Users | null;
  }

  interface Chat {
    block: "chat";
    turns: Turn[];
    title: string;
    caption: string;
  }

  interface Columns {
    block: "columns";
    columns: ((Heading | Text | Facts | Strip | Bars | Table | Scatter | Curves | Chat | Columns)[])[];
  }

  interface Comparison {
    tokenizer: string;
    vocabulary_size: number;
    count: number;
    relative: number;
  }

  interface Context {
    word: string;
    sentences: Sentence[];
    occurrences: Occurrence[];
    static: Spelling;
    layers: Angles[];
    layer: number;
    explained_variance: number[];
    points: PlanePoint[];
  }

  interface Contribution {
    layer: number;
    part: "embedding" | "attention" | "mlp";
    head: number | null;
    logit: number;
  }

  interface Conversation {
    turns: Exchange[];
    kind: string;
    system: string;
    model: string;
    context_length: number;
    price_in: number;
    price_out: number;
  }

  interface Curves {
    block: "curves";
    series: Series[];
    x_label: string;
    y_label: string;
    log_x: boolean;
    log_y: boolean;
    y_kind: "number" | "bytes" | "seconds" | "percent";
    title: string;
    caption: string;
    figure: Record<'light' | 'dark', Figure>;
  }

  interface DecodePlan {
    dtype: string;
    place: string;
    rows: number;
    ahead_bytes: number;
    in_turns: boolean;
    threads: number;
    bytes_per_second: number;
    reader_bytes_per_second: number;
  }

  interface Depth {
    layer: number;
    top: Guess;
    final_rank: number;
    final_probability: number;
    entropy_bits: number;
  }

  interface Drawn {
    temperature: number;
    kept: number;
    entropy_bits: number;
    probabilities: number[];
  }

  interface Embedding {
    shape: [number, number];
    dtype: string;
    table_bytes: number;
    words: Word[];
    explained_variance: number[];
    cosine: ((number | null)[])[];
    neighbours: Neighbours[];
    whole: boolean;
  }

  interface Exchange {
    user: string;
    assistant: string;
    sent_tokens: number;
    computed_tokens: number | null;
    generated_tokens: number;
    first_token_s: number;
    total_s: number;
    stop_reason: string;
    dropped_turns: number;
    indented: string[];
    at_marker: boolean;
  }

  interface Facts {
    block: "facts";
    rows: [string, string][];
  }

  interface Fit {
    weights_bytes: number;
    kv_bytes_per_token: number;
    tokens: number;
    needed_bytes: number;
    available_bytes: number | null;
    total_bytes: number | null;
    fits: string;
    fitting_precision: string | null;
    room_tokens: number | null;
    layers_guessed: boolean;
    state_bytes: number | null;
  }

  interface FoundServer {
    address: string;
    program: string;
    models: ServedModel[];
    needs_key: boolean;
  }

  interface GeneratedToken {
    id: number;
    text: string;
    label: string;
    probability: number;
    logprob: number;
    rank: number | null;
    chance: number | null;
    alternatives: Alternative[];
    seconds: number;
    draw: number;
  }

  interface Generation {
    prompt: string;
    text: string;
    stop_reason: "stop_string" | "end_token" | "max_new_tokens" | "context_full" | "interrupted";
    prompt_tokens: number;
    reused_tokens: number | null;
    prefill_s: number;
    decode_s: number;
    tokens_per_s: number | null;
    tokens: GeneratedToken[];
    stop_string: string | null;
    after_stop: string;
    seed: number;
    sampling: Record<string, unknown>;
    prompt_ids: number[];
    model: string;
    opening: string[];
  }

  interface Guess {
    id: number;
    text: string;
    probability: number;
    shown: string;
  }

  interface HeadMeasured {
    layer: number;
    head: number;
    kind: string | null;
    scores: HeadScores;
  }

  interface HeadReads {
    layer: number;
    head: number;
    weights: number[];
  }

  interface HeadScores {
    itself: number | null;
    previous: number | null;
    first: number | null;
    induction: number | null;
  }

  interface HeadWeights {
    layer: number;
    head: number;
    weights: number[][];
  }

  interface Heading {
    block: "heading";
    text: string;
    level: number;
  }

  interface Invitation {
    link: string;
    code: string;
    qr: string[];
  }

  interface KnownModel {
    name: string;
    source: string;
    parameters: number;
    active: number;
    with_prediction: number | null;
    file_bytes: Record<string, number>;
    layers: number;
    width: number;
    context_length: number | null;
    kv_bytes_per_token: number;
  }

  interface LayerInside {
    layer: number;
    guesses: PlaceGuess[];
    attention_norm: number[] | null;
    mlp_norm: number[] | null;
    attention_cosine: number[] | null;
    mlp_cosine: number[] | null;
  }

  interface LayerToken {
    id: number;
    text: string;
  }

  interface Lens {
    prompt: string;
    ids: number[];
    final: Guess;
    layers: Depth[];
    settled: number;
    tied: boolean;
  }

  interface Loaded {
    engine: string;
    device: string;
    dtype: string;
    seconds: number;
    weights_bytes: number;
    process_bytes: number | null;
  }

  interface Memory {
    model: string;
    device: string;
    engine: string;
    mode: "last" | "all";
    precision: string;
    weights_bytes: number;
    context_length: number | null;
    kv_cache: Cache;
    chunk: number;
    rows: Row[];
    simulated: boolean;
    layers_guessed: boolean;
    exact: boolean;
    parameters: number | null;
    fits: CardsFit[];
    stopped: Stopped | null;
  }

  interface Missing {
    tokenizer: string;
    code: string;
    message: string;
  }

  interface ModelAtWork {
    model: string;
    engine: string;
    architecture: string;
    device: string;
    dtype: string;
    parameters: number | null;
    vocabulary_size: number;
    context_length: number | null;
    layers: number;
    width: number;
    heads: number;
    kv_heads: number;
  }

  interface Models {
    models: CachedModel[];
    cache: string;
    total_bytes: number;
    free_bytes: number | null;
    servers: FoundServer[];
  }

  interface Near {
    id: number;
    text: string;
    cosine: number | null;
    shown: string;
  }

  interface Neighbours {
    word: string;
    near: Near[];
  }

  interface NetworkInside {
    prompt: string;
    tokens: LayerToken[];
    layers: LayerInside[];
    heads: HeadMeasured[];
    target: TargetToken | null;
    contributions: Contribution[];
    remainder: number | null;
    attention: HeadWeights | null;
    reads: TokenReads | null;
  }

  interface NetworkPart {
    part: string;
    layer: number | null;
    parameters: number;
    attention: number;
    mlp: number;
    norms: number;
  }

  interface Occurrence {
    sentence: number;
    start: number;
    end: number;
    positions: number[];
    ids: number[];
    tokens: string[];
  }

  interface Parameters {
    total: number;
    by_block: BlockParameters[];
    active: number | null;
    with_prediction: number | null;
    source: string;
  }

  interface PartOff {
    part: "residual" | "attention" | "mlp" | "head";
    layer: number;
    head: number | null;
  }

  interface Parts {
    kv_cache: number;
    activations: number;
    logits: number;
  }

  interface Patching {
    prompt: string;
    before: Side;
    after: Side;
    changed: number;
    moved: Shift[];
    source: string;
    tokens: LayerToken[];
    source_tokens: LayerToken[];
    part: "residual" | "attention" | "mlp" | "head";
    layer: number;
    head: number | null;
    position: number;
    source_position: number;
    between: TokenLogits[];
    difference: TwoDifferences;
    grid: PlaceChanged[];
  }

  interface Piece {
    text: string;
    hint: string;
    tone: number;
    weight: number | null;
    kind: "token" | "bytes" | "special" | "prompt" | "after";
  }

  interface PlaceChanged {
    layer: number;
    head: number | null;
    position: number;
    difference: number;
  }

  interface PlaceGuess {
    position: number;
    id: number;
    text: string;
    probability: number;
    candidates: TokenShare[];
  }

  interface PlanePoint {
    x: number;
    y: number;
  }

  interface Point {
    label: string;
    xyz: number[];
    group: number;
  }

  interface Prediction {
    prompt: string;
    model: string;
    temperature: number;
    top_k: number;
    top_p: number;
    min_p: number;
    kept: number;
    vocabulary_size: number;
    entropy_bits: number;
    model_entropy_bits: number;
    exact: boolean;
    candidates: Candidate[];
    asked: Asked[];
    prompt_tokens: number;
    reused_tokens: number | null;
    prefill_s: number;
    opening: string[];
    beside: Drawn[];
    seen: number;
  }

  interface Preview {
    name: string;
    architecture: string;
    kind: string;
    kind_reason: string;
    licence: string | null;
    parameters: Parameters;
    file_bytes: Record<string, number>;
    dtype: string | null;
    memory: Fit;
    published: Published;
  }

  interface Progress {
    done: number;
    total: number;
  }

  interface Published {
    commit: string;
    gated: string | null;
    downloads: number | null;
    downloaded: boolean;
    download_bytes: number;
    download_files: number;
    cache: string;
    free_bytes: number | null;
    fits_disk: boolean | null;
    tokenizer: string;
  }

  interface Row {
    tokens: number;
    measured_bytes: number | null;
    computed: Parts;
    seconds: number | null;
    beyond_context: boolean;
    other_mode: Parts;
    measured: Parts | null;
    process_bytes: number | null;
    resident_bytes: number | null;
    next_token_s: number | null;
  }

  interface Scatter {
    block: "scatter";
    points: Point[];
    axes: string[];
    arrows: boolean;
    title: string;
    caption: string;
    figure: Record<'light' | 'dark', Figure>;
  }

  interface Score {
    text: string;
    tokens: ScoredToken[];
    bits: number | null;
    perplexity: number | null;
    bits_per_byte: number | null;
    exact: boolean;
  }

  interface ScoredToken {
    id: number;
    text: string;
    bits: number | null;
    rank: number | null;
    probability: number | null;
    expected: TokenShare | null;
    entropy_bits: number | null;
  }

  interface Sentence {
    text: string;
    ids: number[];
    tokens: string[];
  }

  interface Series {
    label: string;
    x: number[];
    y: (number | null)[];
    dashed: boolean;
    area: boolean;
  }

  interface ServedModel {
    name: string;
    context_length: number | null;
    source: string | null;
  }

  interface Shift {
    id: number;
    text: string;
    label: string;
    before: number;
    after: number;
  }

  interface Side {
    candidates: Candidate[];
    text: string;
    stop_reason: "stop_string" | "end_token" | "max_new_tokens" | "context_full" | "interrupted";
  }

  interface Spelling {
    text: string;
    ids: number[];
    tokens: string[];
  }

  interface Started {
    prompt_ids: number[];
    prompt_tokens: number;
    reused_tokens: number | null;
    prefill_s: number;
    seed: number;
  }

  interface Steered {
    prompt: string;
    before: Side;
    after: Side;
    changed: number;
    moved: Shift[];
    toward: string;
    away: string;
    layer: number;
    strength: number;
    added_norm: number;
    stream_norm: number;
  }

  interface Step {
    id: number;
    text: string;
    label: string;
    probability: number;
    logprob: number;
    rank: number | null;
    chance: number | null;
    alternatives: Alternative[];
    seconds: number;
    draw: number;
    token_text: string;
  }

  interface Stopped {
    reason: "memory" | "positions" | "interrupted";
    tokens: number;
    needed_bytes: number | null;
    available_bytes: number | null;
  }

  interface Strip {
    block: "strip";
    pieces: Piece[];
    label: string;
    caption: string;
  }

  interface Table {
    block: "table";
    columns: string[];
    rows: string[][];
    title: string;
    caption: string;
    align: string;
    heat: ((number | null)[])[];
    grid: boolean;
  }

  interface TargetToken {
    id: number;
    text: string;
    logit: number;
    tokens: number;
  }

  interface Text {
    block: "text";
    text: string;
    tone: "plain" | "quiet" | "warning";
  }

  interface Token {
    id: number;
    bytes: string;
    text: string;
    start: number;
    end: number;
    special: boolean;
  }

  interface TokenLogits {
    id: number;
    text: string;
    label: string;
    before: number;
    source: number;
    tokens: number;
  }

  interface TokenReads {
    position: number;
    heads: HeadReads[];
  }

  interface TokenShare {
    id: number;
    text: string;
    probability: number;
  }

  interface Tokens {
    text: string;
    tokenizer: string;
    vocabulary_size: number;
    vocabulary_base: number;
    count: number;
    characters: number;
    bytes: number;
    characters_per_token: number | null;
    lossless: boolean;
    tokens: Token[];
    comparisons: Comparison[];
    missing: Missing[];
    opening: string[];
  }

  interface Turn {
    role: string;
    text: string;
    after: string;
    note: string;
  }

  interface TwoDifferences {
    before: number;
    source: number;
  }

  interface Users {
    context: number;
    users: number;
  }

  interface Word {
    word: string;
    ids: number[];
    x: number;
    y: number;
    z: number | null;
    tokens: string[];
    used: string;
    spaced: Spelling;
    bare: Spelling;
    spellings_cosine: number | null;
  }
}
