"""The networks' dimensions and their configurations in the public libraries' words."""
LAYERS, WIDTH, HEADS, HEAD, HIDDEN = 8, 256, 4, 64, 1024
LATENT, OUT, PATCH, GRID = 4, 8, 2, 32          # the last 4 of the 8 outputs are not used
TOKENS, PATCHES = (GRID // PATCH) ** 2, GRID // PATCH
TEXT_LAYERS, TEXT_WIDTH, TEXT_HEADS, TEXT_HEAD, TEXT_HIDDEN = 3, 128, 4, 32, 384
VOCABULARY, PAD, END, LENGTH = 640, 0, 1, 24   # LENGTH: tokens of the longest training prompt
BUCKETS, DISTANCE = 32, 128
TIMES, BETA_FIRST, BETA_LAST = 1000, 1e-4, 0.02

TRANSFORMER = {
    "num_attention_heads": HEADS, "attention_head_dim": HEAD, "in_channels": LATENT,
    "out_channels": OUT, "num_layers": LAYERS, "cross_attention_dim": WIDTH,
    "attention_bias": True, "sample_size": GRID, "patch_size": PATCH,
    "activation_fn": "gelu-approximate", "num_embeds_ada_norm": TIMES,
    "norm_type": "ada_norm_single", "norm_elementwise_affine": False, "norm_eps": 1e-6,
    "interpolation_scale": 1, "use_additional_conditions": False, "caption_channels": TEXT_WIDTH}
TEXT_ENCODER = {
    "d_model": TEXT_WIDTH, "d_kv": TEXT_HEAD, "d_ff": TEXT_HIDDEN, "num_layers": TEXT_LAYERS,
    "num_heads": TEXT_HEADS, "vocab_size": VOCABULARY, "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": BUCKETS, "relative_attention_max_distance": DISTANCE,
    "layer_norm_epsilon": 1e-6, "dropout_rate": 0.0, "pad_token_id": PAD, "eos_token_id": END,
    "tie_word_embeddings": False}
SCHEDULER = {
    "num_train_timesteps": TIMES, "beta_start": BETA_FIRST, "beta_end": BETA_LAST,
    "beta_schedule": "linear", "solver_order": 2, "prediction_type": "epsilon",
    "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True}
